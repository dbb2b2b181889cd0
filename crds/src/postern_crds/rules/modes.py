"""Rules between parts of a policy: what has an effect in which mode, and with which kind of token."""

from typing import Any

from postern_crds.rules.rule import Rule

__all__ = ["MODE_RULES"]


def _proxy_has_secret(spec: dict[str, Any]) -> bool:
    proxy = spec.get("proxy") or {"client": {}}
    return "secretRef" in proxy["client"]


def _can_introspect(spec: dict[str, Any]) -> bool:
    verification = spec["verification"]
    own = verification.get("introspection") or {}
    return verification.get("kind") != "Introspection" or "clientID" in own or _proxy_has_secret(spec)


def _is_sealed(spec: dict[str, Any]) -> bool:
    proxy = spec.get("proxy") or {}
    return bool(proxy.get("tokenMode") == "Sealed")


def _asks_userinfo(spec: dict[str, Any]) -> bool:
    """Tell whether the user's endpoint alone says that a token is good."""
    return bool(spec["verification"].get("kind") == "Userinfo")


_ASKS_USERINFO = "(has(self.verification.kind) && self.verification.kind == 'Userinfo')"


def _is_bound(spec: dict[str, Any]) -> bool:
    return not _asks_userinfo(spec) or _is_sealed(spec) or bool(spec["verification"]["audience"] == "IssuerOnly")


def _fits_token_mode(spec: dict[str, Any]) -> bool:
    return spec["forward"]["accessToken"] != "AsReceived" or not _is_sealed(spec)


MODE_RULES: tuple[Rule, ...] = (
    Rule(
        "spec",
        "!has(self.scopes.requested) || self.mode == 'Proxy'",
        "scopes.requested has no effect with mode: Direct, where clients choose what they ask for: remove it",
        lambda v: "requested" not in v["scopes"] or v["mode"] == "Proxy",
    ),
    Rule(
        "spec",
        "!has(self.verification.kind) || self.verification.kind != 'Introspection' || (has(self.verification.introspection) && "
        "has(self.verification.introspection.clientID)) || (has(self.proxy) && has(self.proxy.client.secretRef))",
        "verification.kind: Introspection needs a client that may introspect: add verification.introspection.clientID and secretRef",
        _can_introspect,
    ),
    Rule(
        "spec",
        f"!{_ASKS_USERINFO} || self.verification.audience == 'IssuerOnly' || (has(self.proxy) && self.proxy.tokenMode == 'Sealed')",
        "nothing binds tokens that userinfo verifies to this resource: set proxy.tokenMode: Sealed, or accept every token of the "
        "issuer with verification.audience: IssuerOnly",
        _is_bound,
    ),
    Rule(
        "spec",
        f"!{_ASKS_USERINFO} || !has(self.verification.audiences)",
        "verification.audiences has no effect on tokens that userinfo verifies: remove it, or set verification.kind: JWT",
        lambda v: not _asks_userinfo(v) or "audiences" not in v["verification"],
    ),
    Rule(
        "spec",
        "self.forward.accessToken != 'Upstream' || self.mode == 'Proxy'",
        "forward.accessToken: Upstream needs mode: Proxy, in which Postern has the identity provider's token: use AsReceived or Strip",
        lambda v: v["forward"]["accessToken"] != "Upstream" or v["mode"] == "Proxy",
    ),
    Rule(
        "spec",
        "self.forward.accessToken != 'AsReceived' || !has(self.proxy) || self.proxy.tokenMode != 'Sealed'",
        "forward.accessToken: AsReceived would forward a token that only Postern can read: use Upstream or Strip",
        _fits_token_mode,
    ),
)
