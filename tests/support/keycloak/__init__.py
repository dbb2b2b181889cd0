"""A real Keycloak beside the tests: its distribution, a realm for one MCP server, the running server."""
