"""Rules of the resource and the server behind it."""

import re
from typing import Any
from urllib.parse import urlsplit

from postern_crds.rules.rule import HOST, LOOPBACK, Rule, lacking, matching
from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT

__all__ = ["SERVER_RULES", "opens"]


def _mcp_paths(spec: dict[str, Any]) -> set[str]:
    paths = {urlsplit(spec["resource"]["url"]).path or "/"}
    if spec["server"].get("path"):
        paths.add(spec["server"]["path"])
    return paths


def opens(public: str, path: str) -> bool:
    """Tell whether a public path covers a path, with or without its last slash."""
    if public.endswith("/*"):
        return f"{path}/".startswith(public[:-1])
    return public.rstrip("/") == path.rstrip("/")


def _keeps_mcp_path(spec: dict[str, Any]) -> bool:
    return not any(opens(public, path) for public in spec["server"]["publicPaths"] for path in _mcp_paths(spec))


# The list of one element binds the path once: parsing a URL for each public path would exceed the API server's cost budget.
_KEEPS_MCP_PATH = (
    "!has(self.server) || !has(self.server.publicPaths) || !isURL(self.resource.url) || "
    "[url(self.resource.url).getEscapedPath(), has(self.server.path) ? self.server.path : url(self.resource.url).getEscapedPath()].all(m, "
    "m == '' ? self.server.publicPaths.all(p, p != '/' && p != '/*') : "
    "self.server.publicPaths.all(p, p != m && p != m + '/' && p + '/' != m && "
    "!(p.endsWith('/*') && (m + '/').startsWith(p.substring(0, p.size() - 1)))))"
)


def _is_port(port: Any) -> bool:
    if isinstance(port, int):
        return 1 <= port <= 65535
    return (
        len(port) <= 15
        and re.search(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", port) is not None
        and re.search("[a-z]", port) is not None
    )


_OWN = (LISTEN_PORT, HEALTH_PORT)

SERVER_RULES: tuple[Rule, ...] = (
    Rule(
        "",
        "self.metadata.name.size() <= 63",
        "metadata.name must have at most 63 characters: objects and labels are named after it",
        lambda v: len(v["metadata"]["name"]) <= 63,
    ),
    Rule(
        "spec.resource.url",
        "self == oldSelf",
        "is immutable, because clients bind their tokens to it: create a new policy",
        None,
    ),
    matching(
        "spec.resource.url",
        f"^(https://|{LOOPBACK})",
        "must start with https:// (http:// only for localhost, 127.0.0.1 and [::1]): write the URL that people type into their client",
    ),
    lacking(
        "spec.resource.url",
        r"[?#]|^[a-z]+://[^/]*@",
        "must have no user, password, query or fragment: write the plain URL of the MCP endpoint",
    ),
    matching(
        "spec.resource.url",
        rf"^[a-z]+://([^/]*@)?{HOST}([/?#].*)?$",
        "must be an absolute URL with a lower-case host, such as https://mcp.example.com/mcp",
    ),
    lacking(
        "spec.resource.url",
        r"^[a-z]+://[^/]+/.*/$|^[a-z]+://[^/]+//+$",
        "must not end in a slash, because clients compare it byte for byte: remove it",
    ),
    lacking(
        "spec.resource.url",
        r"^[a-z]+://[^/]+.*(//|/\.{1,2}(/|$)|%|\\)",
        "must have no empty, '.' or '..' segments and nothing percent-encoded in its path",
    ),
    Rule(
        "spec.resource",
        "!has(self.prefix) || self.prefix == '' || !isURL(self.url) || url(self.url).getEscapedPath() == self.prefix || "
        "url(self.url).getEscapedPath().startsWith(self.prefix + '/')",
        "prefix must be the beginning of the path of url, such as '/weather' for https://mcp.example.com/weather/mcp",
        lambda v: f"{urlsplit(v['url']).path}/".startswith(f"{v['prefix']}/") or v["prefix"] == "",
    ),
    Rule(
        "spec.server.port",
        "type(self) == int ? (self >= 1 && self <= 65535) : "
        "(self.size() <= 15 && self.matches(r'^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && self.matches('[a-z]'))",
        "must be a port number from 1 to 65535, or the name of a container port",
        _is_port,
    ),
    Rule(
        "spec.server.port",
        f"type(self) != int || !(self in [{_OWN[0]}, {_OWN[1]}])",
        f"{_OWN[0]} and {_OWN[1]} belong to the sidecar: let the server listen on another port",
        lambda v: v not in _OWN,
    ),
    Rule(
        "spec.server.exemptPorts",
        f"self.all(p, !(p in [{_OWN[0]}, {_OWN[1]}]))",
        f"{_OWN[0]} and {_OWN[1]} belong to the sidecar and need no exemption: remove them",
        lambda v: not set(v) & set(_OWN),
    ),
    Rule(
        "spec.server",
        "!has(self.port) || !has(self.exemptPorts) || type(self.port) != int || self.exemptPorts.all(p, p != self.port)",
        "exemptPorts must not name the guarded port: that would open the MCP server to everybody",
        lambda v: v.get("port") not in v["exemptPorts"],
    ),
    Rule(
        "spec.server.publicPaths",
        r"self.all(p, !p.matches(r'[?#%\\]|//|/\.{1,2}(/|$)|\*.') && (!p.contains('*') || p.endsWith('/*')))",
        "must be plain paths such as '/health', or prefixes such as '/assets/*': no query, '%', empty or dot segments, and '*' only at the end after '/'",
        lambda v: (
            not any(re.search(r"[?#%\\]|//|/\.{1,2}(/|$)|\*.", p) or ("*" in p and not p.endswith("/*")) for p in v)
        ),
    ),
    Rule(
        "spec.server.publicPaths",
        "self.all(p, !p.startsWith('/.well-known/oauth-') && !p.startsWith('/.well-known/openid-configuration'))",
        "must not name OAuth discovery documents: Postern serves them itself, without a token",
        lambda v: not any(p.startswith(("/.well-known/oauth-", "/.well-known/openid-configuration")) for p in v),
    ),
    Rule(
        "spec",
        _KEEPS_MCP_PATH,
        "server.publicPaths must not cover the MCP endpoint: it would be open to everybody",
        _keeps_mcp_path,
    ),
    lacking(
        "spec.server.path",
        r"[?#%\\*]|//|/\.{1,2}(/|$)",
        "must be a plain path such as '/mcp': no query, '%', '*', empty or dot segments",
    ),
)
