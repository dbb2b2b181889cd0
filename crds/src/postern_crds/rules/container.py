"""Rules of the sidecar container."""

import re
from decimal import Decimal
from typing import Any

from postern_crds.rules.rule import Rule

__all__ = ["CONTAINER_RULES"]

_SCALES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def _amount(quantity: int | str) -> Decimal:
    """Give the value of a Kubernetes quantity that matched its pattern."""
    number, suffix = re.fullmatch(r"([+-]?[0-9.]+)(.*)", str(quantity)).groups()  # type: ignore[union-attr]  # matched
    if suffix.endswith("i"):
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(suffix[0]) + 1)
    if suffix in _SCALES:
        return Decimal(number).scaleb(_SCALES[suffix])
    return Decimal(number + suffix)


def _requests_within_limits(resources: dict[str, Any]) -> bool:
    limits = resources["limits"]
    return all(
        _amount(v) <= _amount(limits[k])
        for k, v in resources["requests"].items()
        if k in limits and k in ("cpu", "memory")
    )


CONTAINER_RULES: tuple[Rule, ...] = (
    Rule(
        "spec.sidecar.resources",
        "!has(self.requests) || !has(self.limits) || ['cpu', 'memory'].all(k, !(k in self.requests) || !(k in self.limits) || "
        "!isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || "
        "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
        "requests must not exceed limits, or no pod could be created: raise the limit (unset ones have defaults) too",
        _requests_within_limits,
    ),
)
