"""A real MCP server and a real MCP client, neither of which knows of Postern."""
