"""Which scopes are asked for, granted and given: this module maps between clients, policy and identity provider."""

import re
from collections.abc import Iterable, Sequence

from postern_crds.sidecar_config import SidecarConfig, UpstreamConfig
from postern_sidecar.facade.faults import OAuthFault

__all__ = ["OFFLINE_ACCESS", "grantable", "inward", "outward", "parse_scopes"]

OFFLINE_ACCESS = "offline_access"
"""OpenID Connect Core section 11. Clients add it when our metadata lists it (SPEC 61)."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
"""scope-token of RFC 6749 section 3.3."""
_OPENID = frozenset(("openid", "profile", "email", "address", "phone", OFFLINE_ACCESS))
"""Scopes that mean the same everywhere (OpenID Connect Core section 5.4): never prefixed."""
_SHORT_FORMS = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}
"""Google answers with these when asked for the short ones."""


def parse_scopes(value: str | None) -> tuple[str, ...] | None:
    """Read a scope parameter; None: there is none. Raises OAuthFault invalid_scope (RFC 6749 section 3.3)."""
    scopes = tuple(dict.fromkeys((value or "").split(" ")))
    if any(scope and not _SCOPE.fullmatch(scope) for scope in scopes):
        raise OAuthFault("invalid_scope", "The scope is malformed.")
    return tuple(scope for scope in scopes if scope) or None


def grantable(asked: Sequence[str] | None, config: SidecarConfig) -> tuple[str, ...]:
    """Give the scopes that a client may have of those it asked for. asked None: all that the policy advertises.

    Unknown ones are left out (RFC 6749 section 3.3 allows it, and the token answer says so): some clients ask for what
    suits other servers. Required ones are added, since a token without them opens nothing.
    """
    verification = config.verification
    if asked is None:
        return verification.supported_scopes
    known = {*verification.supported_scopes, *((OFFLINE_ACCESS,) if _hands_out_refresh_tokens(config) else ())}
    return _unique((*(scope for scope in asked if scope in known), *verification.required_scopes))


def outward(scopes: Iterable[str], config: SidecarConfig, *, offline: bool) -> tuple[str, ...]:
    """Give what the identity provider is asked for: the policy's own scopes, then these in its spelling.

    offline: whether this client gets refresh tokens.
    """
    upstream = _upstream(config)
    asked = (_prefixed(scope, upstream.scope_prefix) for scope in scopes if scope != OFFLINE_ACCESS)
    extra = (upstream.offline_scope,) if offline and upstream.offline_scope else ()
    return _unique((*upstream.scopes, *asked, *extra))


def inward(granted: str | Sequence[str], config: SidecarConfig) -> tuple[str, ...]:
    """Give in our spelling what the identity provider granted.

    granted: its scope member, separated by spaces (RFC 6749 section 3.3) or commas (GitHub), or a list.
    """
    upstream = _upstream(config)
    scopes = re.split(r"[ ,]+", granted) if isinstance(granted, str) else granted
    known = {*config.verification.supported_scopes, *upstream.scopes}
    return _unique(_shortened(scope.removeprefix(upstream.scope_prefix), known) for scope in scopes if scope)


def _prefixed(scope: str, prefix: str) -> str:
    return scope if scope in _OPENID or "://" in scope else prefix + scope


def _shortened(scope: str, known: set[str]) -> str:
    short = _SHORT_FORMS.get(scope)
    return short if short is not None and short in known and scope not in known else scope


def _hands_out_refresh_tokens(config: SidecarConfig) -> bool:
    return config.proxy is not None and "refresh_token" in config.proxy.grant_types


def _upstream(config: SidecarConfig) -> UpstreamConfig:
    if config.proxy is None:
        raise ValueError("only in mode Proxy are there scopes for the identity provider")
    return config.proxy.upstream


def _unique(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scopes))
