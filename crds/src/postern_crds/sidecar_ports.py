"""The ports and the user id that the sidecar occupies in a pod; part of the contract because policies must not collide with them."""

LISTEN_PORT = 19871
"""Where guarded traffic arrives. Below 32768, so that no client socket of the pod takes it by chance."""
HEALTH_PORT = 19872
"""Probes, metrics and status; never the server or its content."""
SIDECAR_UID = 64321
"""User and group of the sidecar: uncommon, so that no server runs under it and escapes the redirect."""
