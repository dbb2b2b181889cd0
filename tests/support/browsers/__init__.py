"""A real Chromium, what stands between it and the sidecars, and the MCP Inspector to show in it."""
