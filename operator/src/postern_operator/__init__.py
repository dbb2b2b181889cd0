"""Postern's operator: a kopf controller and an admission webhook, from one image."""

__version__ = "0.1.0"
__all__ = ["__version__"]
