"""MCP clients as people use them, each with the scripted browser for its logins."""
