"""Discovery: the documents by which MCP clients find the login."""
