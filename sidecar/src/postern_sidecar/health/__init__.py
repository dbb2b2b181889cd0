"""The second port: probes, metrics and status; never the server or its content."""
