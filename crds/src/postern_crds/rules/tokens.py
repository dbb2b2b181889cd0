"""Rules of scopes, verification and what the server learns."""

import re
from typing import Any

from postern_crds.rules.rule import Rule

__all__ = ["TOKEN_RULES"]

_RESERVED_HEADERS = (
    r"(?i)^(authorization|cookie|date|expect|forwarded|host|connection|keep-alive|last-event-id|origin|set-cookie|te|trailer|"
    r"transfer-encoding|upgrade|via|accept.*|content-.*|mcp-.*|proxy-.*|trace.*|x-forwarded-.*|x-real-ip|x-request-id|x-mcp-.*)$"
)


def _distinct_headers(claims: list[dict[str, Any]]) -> bool:
    names = [c["header"].lower() for c in claims]
    return len(set(names)) == len(names)


TOKEN_RULES: tuple[Rule, ...] = (
    Rule(
        "spec.scopes.supported",
        "!('offline_access' in self)",
        "must not contain offline_access: clients ask for it by themselves when the identity provider offers it",
        lambda v: "offline_access" not in v,
    ),
    Rule(
        "spec.scopes.required",
        "!('offline_access' in self)",
        "must not contain offline_access: tokens do not carry it; clients ask for it by themselves",
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
        "spec.verification",
        "!has(self.introspection) || (has(self.kind) && self.kind == 'Introspection')",
        "introspection has no effect without kind: Introspection: set it, or remove introspection",
        lambda v: "introspection" not in v or v.get("kind") == "Introspection",
    ),
    Rule(
        "spec.verification.introspection",
        "has(self.clientID) == has(self.secretRef)",
        "must have clientID and secretRef, or neither of them (mode: Proxy, where proxy.client is used then)",
        lambda v: ("clientID" in v) == ("secretRef" in v),
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
