"""The contract of Postern: what users write (v1alpha1) and what the sidecar reads (sidecar_config)."""

__version__ = "0.1.0"
__all__ = ["__version__"]
