"""The rules of McpAuthPolicy that a type cannot express: each once, as CEL for the API server and as a function for ``render``.

Every rule has a fixture that the API server and the function both refuse. Messages say what to do.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """One rule at one place of the object."""

    path: str
    """Dotted place of the value it judges: '' the whole object, 'spec.resource.url' that value, where present."""
    expression: str
    """CEL; ``self`` is the value."""
    message: str
    holds: Callable[[Any], bool] | None
    """The same decision on plain data with defaults filled in; None for a rule on change (``oldSelf``)."""


def _matching(path: str, pattern: str, message: str) -> Rule:
    return Rule(path, f"self.matches(r'{pattern}')", message, lambda v: re.search(pattern, v, re.ASCII) is not None)


def _lacking(path: str, pattern: str, message: str) -> Rule:
    return Rule(path, f"!self.matches(r'{pattern}')", message, lambda v: re.search(pattern, v, re.ASCII) is None)


_LOOPBACK = r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/|$)"
_HOST = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"


def _url_rules(path: str, *, slash: bool) -> list[Rule]:
    """Rules of a URL at the identity provider; slash tells whether it may end in one."""
    rules = [
        _matching(
            path,
            f"^(https://|{_LOOPBACK})",
            "must start with https:// (http:// only for localhost, 127.0.0.1 and [::1])",
        ),
        _matching(
            path,
            f"^https?://{_HOST}(/[!-~]*)?$",
            "must be an absolute URL with a lower-case host, without user or password",
        ),
        _lacking(path, "[?#]", "must have no query and no fragment: remove everything from '?' or '#' on"),
    ]
    return rules if slash else [*rules, _lacking(path, "/$", "must not end in a slash: remove it")]


def _mcp_paths(spec: dict[str, Any]) -> set[str]:
    paths = {urlsplit(spec["resource"]["url"]).path or "/"}
    if spec["server"].get("path"):
        paths.add(spec["server"]["path"])
    return paths


def _opens(public: str, path: str) -> bool:
    """Tell whether a public path covers a path, with or without its last slash."""
    if public.endswith("/*"):
        return f"{path}/".startswith(public[:-1])
    return public.rstrip("/") == path.rstrip("/")


def _keeps_mcp_path(spec: dict[str, Any]) -> bool:
    return not any(_opens(public, path) for public in spec["server"]["publicPaths"] for path in _mcp_paths(spec))


# The list of one element binds the path once: parsing a URL for each public path would exceed the API server's cost budget.
_KEEPS_MCP_PATH = (
    "!has(self.server) || !has(self.server.publicPaths) || !isURL(self.resource.url) || "
    "[url(self.resource.url).getEscapedPath(), has(self.server.path) ? self.server.path : url(self.resource.url).getEscapedPath()].all(m, "
    "m == '' ? self.server.publicPaths.all(p, p != '/' && p != '/*') : "
    "self.server.publicPaths.all(p, p != m && p != m + '/' && p + '/' != m && "
    "!(p.endsWith('/*') && (m + '/').startsWith(p.substring(0, p.size() - 1)))))"
)
_RESERVED_HEADERS = (
    r"(?i)^(authorization|cookie|date|expect|forwarded|host|connection|keep-alive|last-event-id|origin|set-cookie|te|trailer|"
    r"transfer-encoding|upgrade|via|accept.*|content-.*|mcp-.*|proxy-.*|trace.*|x-forwarded-.*|x-real-ip|x-request-id|x-mcp-.*)$"
)


def _is_port(port: Any) -> bool:
    if isinstance(port, int):
        return 1 <= port <= 65535
    return (
        len(port) <= 15
        and re.search(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", port) is not None
        and re.search("[a-z]", port) is not None
    )


def _one_of(path: str, members: tuple[str, ...], message: str) -> Rule:
    listed = ", ".join(f"has(self.{m})" for m in members)
    return Rule(
        path, f"[{listed}].exists_one(x, x)", message, lambda v: sum(v.get(m) is not None for m in members) == 1
    )


def _distinct_headers(claims: list[dict[str, Any]]) -> bool:
    names = [c["header"].lower() for c in claims]
    return len(set(names)) == len(names)


_OWN = (LISTEN_PORT, HEALTH_PORT)
_SCALES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def _amount(quantity: int | str) -> Decimal:
    """Give the value of a Kubernetes quantity that matched its pattern."""
    number, suffix = re.fullmatch(r"([+-]?[0-9.]+)(.*)", str(quantity)).groups()  # type: ignore[union-attr]  # matched
    if suffix.endswith("i"):
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(suffix[0]) + 1)
    if suffix in _SCALES:
        return Decimal(number).scaleb(_SCALES[suffix])
    return Decimal(number + suffix)


def _requests_within_limits(resources: dict[str, Any]) -> bool:
    limits = resources["limits"]
    return all(
        _amount(v) <= _amount(limits[k])
        for k, v in resources["requests"].items()
        if k in limits and k in ("cpu", "memory")
    )


RULES: tuple[Rule, ...] = (
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
    _matching(
        "spec.resource.url",
        f"^(https://|{_LOOPBACK})",
        "must start with https:// (http:// only for localhost, 127.0.0.1 and [::1]): write the URL that people type into their client",
    ),
    _lacking(
        "spec.resource.url",
        r"[?#]|^[a-z]+://[^/]*@",
        "must have no user, password, query or fragment: write the plain URL of the MCP endpoint",
    ),
    _matching(
        "spec.resource.url",
        rf"^[a-z]+://([^/]*@)?{_HOST}([/?#].*)?$",
        "must be an absolute URL with a lower-case host, such as https://mcp.example.com/mcp",
    ),
    _lacking(
        "spec.resource.url",
        r"^[a-z]+://[^/]+/.*/$|^[a-z]+://[^/]+//+$",
        "must not end in a slash, because clients compare it byte for byte: remove it",
    ),
    _lacking(
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
    _lacking(
        "spec.server.path",
        r"[?#%\\*]|//|/\.{1,2}(/|$)",
        "must be a plain path such as '/mcp': no query, '%', '*', empty or dot segments",
    ),
    _one_of(
        "spec.provider",
        ("workos", "auth0", "keycloak", "supabase", "betterAuth", "custom"),
        "must have exactly one of workos, auth0, keycloak, supabase, betterAuth and custom",
    ),
    *_url_rules("spec.provider.keycloak.url", slash=False),
    _one_of("spec.provider.supabase", ("url", "projectID"), "must have exactly one of url and projectID"),
    *_url_rules("spec.provider.supabase.url", slash=False),
    *_url_rules("spec.provider.betterAuth.url", slash=False),
    *_url_rules("spec.provider.custom.issuer", slash=True),
    *_url_rules("spec.provider.custom.jwksURI", slash=True),
    Rule(
        "spec.scopes.supported",
        "!('offline_access' in self)",
        "must not contain offline_access: clients ask for it by themselves when the identity provider offers it",
        lambda v: "offline_access" not in v,
    ),
    Rule(
        "spec.scopes",
        "!has(self.supported) || !has(self.required) || self.required.all(s, s in self.supported)",
        "supported must contain every required scope: clients ask for the supported ones only",
        lambda v: v.get("supported") is None or set(v["required"]) <= set(v["supported"]),
    ),
    Rule(
        "spec.verification",
        "!has(self.audiences) || !has(self.audience) || self.audience != 'IssuerOnly'",
        "audiences has no effect with audience: IssuerOnly: remove one of them",
        lambda v: v.get("audiences") is None or v["audience"] != "IssuerOnly",
    ),
    Rule(
        "spec.sidecar.resources",
        "!has(self.requests) || !has(self.limits) || ['cpu', 'memory'].all(k, !(k in self.requests) || !(k in self.limits) || "
        "!isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || "
        "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
        "requests must not exceed limits, or no pod could be created: raise the limit (unset ones have defaults) too",
        _requests_within_limits,
    ),
    Rule(
        "spec.forward.claims",
        f"self.all(c, !c.header.matches(r'{_RESERVED_HEADERS}'))",
        "must not use a header that carries protocol or identity (Authorization, Host, Mcp-*, X-Mcp-*, X-Forwarded-* …): choose another name",
        lambda v: not any(re.search(_RESERVED_HEADERS, c["header"]) for c in v),
    ),
    Rule(
        "spec.forward.claims",
        "self.all(c, self.exists_one(d, d.header.lowerAscii() == c.header.lowerAscii()))",
        "must use each header name once",
        _distinct_headers,
    ),
)
