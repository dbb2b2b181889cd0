"""An ordinary MCP server that knows nothing of OAuth: ``python server.py [--host ADDRESS] [--port PORT]``."""

import argparse

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse

mcp = FastMCP("weather")


@mcp.tool
def whoami() -> dict[str, str]:
    """Who is calling, as far as the server was told: the identity headers of this request."""
    return {name: value for name, value in get_http_headers(include_all=True).items() if name.startswith("x-mcp-")}


@mcp.tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


@mcp.tool
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@mcp.custom_route("/health", methods=["GET"])
async def health(request: Request) -> PlainTextResponse:
    """For probes."""
    return PlainTextResponse("ok")


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    mcp.run(transport="http", host=options.host, port=options.port, path="/mcp", show_banner=False)


if __name__ == "__main__":
    main()
