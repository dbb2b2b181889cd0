"""The authorization server that MCP clients see in mode Proxy: stateless, in front of an identity provider."""
