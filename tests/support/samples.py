"""What a sidecar's metrics say to Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from postern_sidecar.exposition import Registry

__all__ = ["sample"]


def sample(registry: Registry, name: str, **labels: str) -> float | None:
    """The value of one series; None: there is none."""
    for family in text_string_to_metric_families(registry.text().decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return float(found.value)
    return None
