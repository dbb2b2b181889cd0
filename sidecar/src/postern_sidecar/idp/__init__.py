"""The identity provider, seen from the sidecar: the only caller of it."""
