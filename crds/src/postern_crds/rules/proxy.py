"""Rules of mode Proxy: our client at the identity provider, our paths, and the clients that come to us."""

import re
from typing import Any
from urllib.parse import urlsplit

from postern_crds.rules.rule import Rule, lacking
from postern_crds.rules.server import opens

__all__ = ["PROXY_RULES"]

_OWN_PATHS = ("/authorize", "/consent", "/token", "/register", "/revoke")
_OWN = ", ".join(f"'{path}'" for path in _OWN_PATHS)
_PLAIN_PATH = r"[?#%\\*]|//|/\.{1,2}(/|$)|/$|^/\.well-known(/|$)"

_REST = r"[A-Za-z0-9._~:/?@!$&()+,;=%-]*"
_WEB = (
    r"^(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?"
    rf"([/?]{_REST})?$"
)
"""https anywhere, http on loopback (RFC 8252 section 7.3)."""
_PRIVATE = rf"^[a-z][a-z0-9+.-]*:/{_REST}$"
"""An application's own scheme (RFC 8252 section 7.1)."""
_NOT_PRIVATE = (
    r"^(https?|javascript|data|vbscript|file|filesystem|blob|about|view-source|ftp|ws|wss|intent):|^[^/]*//[^/?]*@"
)
"""Schemes that run in the browser or belong to no application; user names."""
_DOTS = r"/([.]|%2[eE]){1,2}([/?]|$)"
_REDIRECT = (
    f"(u.matches(r'{_WEB}') || (u.matches(r'{_PRIVATE}') && !u.matches(r'{_NOT_PRIVATE}'))) && !u.matches(r'{_DOTS}')"
)
_REDIRECT_TEXT = (
    "redirect URIs must be exact: https://…, http:// on localhost, 127.0.0.1 or [::1], or an application's own scheme such as "
    "cursor://…; without user, fragment, '*' or dot segments"
)

_PROTOCOL = (
    "client_id", "client_secret", "client_assertion", "client_assertion_type", "redirect_uri", "response_type",
    "response_mode", "scope", "state", "nonce", "code", "code_challenge", "code_challenge_method", "code_verifier",
    "resource", "request", "request_uri", "registration", "grant_type", "id_token_hint", "iss",
)  # fmt: skip
_PROTOCOL_LIST = ", ".join(f"'{name}'" for name in _PROTOCOL)
_TTL_UNITS = {"s": 1, "m": 60, "h": 3600}


def _is_redirect(uri: str) -> bool:
    def matches(pattern: str) -> bool:
        return re.search(pattern, uri, re.ASCII) is not None

    return (matches(_WEB) or (matches(_PRIVATE) and not matches(_NOT_PRIVATE))) and not matches(_DOTS)


def _facade(spec: dict[str, Any]) -> tuple[str, ...]:
    """Give the public paths of the facade; none in mode Direct."""
    proxy = spec.get("proxy")
    return tuple(spec["resource"]["prefix"] + path for path in (*_OWN_PATHS, proxy["callbackPath"])) if proxy else ()


def _keeps_facade_paths(spec: dict[str, Any]) -> bool:
    return not any(opens(public, path) for public in spec["server"]["publicPaths"] for path in _facade(spec))


def _has_secret(spec: dict[str, Any]) -> bool:
    return "secretRef" in (spec.get("proxy") or {"client": {}})["client"]


def _ttl_s(text: str) -> int:
    return sum(int(number) * _TTL_UNITS[unit] for number, unit in re.findall("([0-9]+)([hms])", text))


def _paths(expression: str) -> str:
    """Give CEL that says expression of each path of the facade; written out, because a list's items have no known size."""
    paths = [f"'{path}'" for path in _OWN_PATHS] + ["self.proxy.callbackPath"]
    return " && ".join(expression.replace("PATH", f"(self.resource.prefix + {path})") for path in paths)


PROXY_RULES: tuple[Rule, ...] = (
    Rule(
        "spec",
        "has(self.proxy) == (self.mode == 'Proxy')",
        "proxy belongs to mode: Proxy: with that mode add proxy.client.id, with another one remove proxy",
        lambda v: ("proxy" in v) == (v["mode"] == "Proxy"),
    ),
    Rule(
        "spec.proxy.client",
        "has(self.secretRef) != (has(self.authMethod) && self.authMethod == 'none')",
        "must have secretRef, which names the Secret with the client's secret, unless authMethod is none: add one, remove the other",
        lambda v: ("secretRef" in v) != (v.get("authMethod") == "none"),
    ),
    Rule(
        "spec",
        "!has(self.provider.github) || !has(self.proxy) || has(self.proxy.client.secretRef)",
        "provider github checks tokens with the client's secret: add proxy.client.secretRef",
        lambda v: v["provider"].get("github") is None or "proxy" not in v or _has_secret(v),
    ),
    lacking(
        "spec.proxy.callbackPath",
        _PLAIN_PATH,
        "must be a plain path such as '/oauth/callback': not below '/.well-known', no query, '%', '*', empty or dot segments, no slash at the end",
    ),
    Rule(
        "spec.proxy.callbackPath",
        f"!(self in [{_OWN}])",
        f"must not be one of {', '.join(_OWN_PATHS)}, which Postern serves itself: choose another path",
        lambda v: v not in _OWN_PATHS,
    ),
    Rule(
        "spec",
        "!has(self.proxy) || !isURL(self.resource.url) || ("
        + _paths("url(self.resource.url).getEscapedPath() != PATH")
        + ")",
        "resource.url must not be at a path that Postern serves itself in mode: Proxy (/authorize, /consent, /token, /register, "
        "/revoke, proxy.callbackPath): move the MCP endpoint, or set proxy.callbackPath",
        lambda v: urlsplit(v["resource"]["url"]).path not in _facade(v),
    ),
    Rule(
        "spec",
        "!has(self.proxy) || !has(self.server.publicPaths) || self.server.publicPaths.all(p, "
        + _paths(
            "p != PATH && p != PATH + '/' && !(p.endsWith('/*') && (PATH + '/').startsWith(p.substring(0, p.size() - 1)))"
        )
        + ")",
        "server.publicPaths must not cover the paths that Postern serves itself in mode: Proxy (/authorize, /consent, /token, "
        "/register, /revoke, proxy.callbackPath): remove them",
        _keeps_facade_paths,
    ),
    Rule(
        "spec.proxy.redirectURIs",
        f"self.all(u, {_REDIRECT})",
        _REDIRECT_TEXT,
        lambda v: all(_is_redirect(uri) for uri in v),
    ),
    Rule(
        "spec.proxy.clients",
        f"self.all(c, c.redirectURIs.all(u, {_REDIRECT}))",
        f"of each client the {_REDIRECT_TEXT}",
        lambda v: all(_is_redirect(uri) for client in v for uri in client["redirectURIs"]),
    ),
    Rule(
        "spec.proxy.clients",
        "self.all(c, self.exists_one(d, d.id == c.id))",
        "must use each id once",
        lambda v: len({client["id"] for client in v}) == len(v),
    ),
    Rule(
        "spec.proxy.clients",
        "self.all(c, !c.id.contains('://'))",
        "must not use a URL as id: such a client describes itself at that URL (registration.metadataDocuments)",
        lambda v: not any("://" in client["id"] for client in v),
    ),
    Rule(
        "spec.proxy",
        "self.registration.dynamic || self.registration.metadataDocuments || self.clients.size() > 0",
        "must let clients in: switch on registration.dynamic or registration.metadataDocuments, or add clients",
        lambda v: bool(v["registration"]["dynamic"] or v["registration"]["metadataDocuments"] or v["clients"]),
    ),
    Rule(
        "spec.proxy.extraAuthorizeParams",
        f"self.all(k, !(k in ['', {_PROTOCOL_LIST}]))",
        "must not set parameters of the protocol (client_id, redirect_uri, scope, state, nonce, resource, code_challenge …): "
        "Postern sets them; scopes.requested adds scopes",
        lambda v: not any(name in ("", *_PROTOCOL) for name in v),
    ),
    Rule(
        "spec.proxy.grantTypes",
        "'authorization_code' in self && (self.size() == 1 || 'refresh_token' in self)",
        "must contain authorization_code, by which users log in, and each grant type once",
        lambda v: "authorization_code" in v and len(set(v)) == len(v),
    ),
    Rule(
        "spec.proxy.accessTokenTTL",
        "duration(self) >= duration('60s') && duration(self) <= duration('24h')",
        "must be from 60s to 24h, such as 1h or 30m",
        lambda v: 60 <= _ttl_s(v) <= 86400,
    ),
)
