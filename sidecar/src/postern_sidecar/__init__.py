"""Postern's sidecar: the OAuth proxy in front of one MCP server."""

__version__ = "0.1.0"
__all__ = ["__version__"]
