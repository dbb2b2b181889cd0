"""Mode Proxy of a policy becomes the sidecar's part of it: this module is that translation."""

import re

from postern_crds.sidecar_config import ClientConfig, Parameter, ProxyConfig, RegistrationConfig, UpstreamConfig
from postern_crds.v1alpha1 import PolicySpec, Proxy, Scopes
from postern_operator.policy.addresses import callback_path, own_issuer
from postern_operator.policy.preset import AuthMethod
from postern_operator.policy.providers import FilledProxy

__all__ = ["auth_method", "proxy_config", "ttl_s"]

_OPENID = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
"""Scopes that mean the same everywhere (OpenID Connect Core sections 5.4 and 11)."""
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def proxy_config(spec: PolicySpec, proxy: Proxy, provider: FilledProxy, *, asks_userinfo: bool) -> ProxyConfig:
    """Give the facade's part of the configuration.

    ``asks_userinfo``: the claims of userinfo come with the verification of the token already.
    """
    return ProxyConfig(
        issuer=own_issuer(spec.resource),
        callback_path=callback_path(spec.resource, proxy),
        upstream=_upstream(spec, proxy, provider, asks_userinfo=asks_userinfo),
        registration=RegistrationConfig(
            dynamic=proxy.registration.dynamic,
            metadata_documents=proxy.registration.metadata_documents,
            allowed_hosts=tuple(proxy.registration.allowed_hosts),
            redirect_uris=tuple(proxy.redirect_uris),
        ),
        clients=tuple(
            ClientConfig(client.id, client.name or client.id, tuple(client.redirect_uris)) for client in proxy.clients
        ),
        grant_types=tuple(proxy.grant_types),
        token_mode=proxy.token_mode,
        access_token_ttl_s=ttl_s(proxy.access_token_ttl),
        consent=proxy.consent,
    )


def auth_method(proxy: Proxy, provider: FilledProxy) -> AuthMethod:
    """Give how we authenticate at the token endpoint."""
    return proxy.client.auth_method or provider.row.auth_method


def ttl_s(duration: str) -> int:
    """Give the seconds of a duration such as 1h30m."""
    return sum(int(number) * _UNIT_S[unit] for number, unit in re.findall("([0-9]+)([hms])", duration))


def _upstream(spec: PolicySpec, proxy: Proxy, provider: FilledProxy, *, asks_userinfo: bool) -> UpstreamConfig:
    row = provider.row
    openid = _is_openid(spec.scopes, provider)
    return UpstreamConfig(
        client_id=proxy.client.id,
        auth_method=auth_method(proxy, provider),
        redirect_uri=f"{own_issuer(spec.resource)}{proxy.callback_path}",
        openid=openid,
        scopes=_scopes(spec.scopes, provider, openid=openid),
        scope_prefix=provider.scope_prefix,
        offline_scope=row.offline_scope if openid else "",
        authorize_params=_parameters(proxy, provider),
        sends_resource=row.sends_resource,
        exchange_scope=row.exchange_scope,
        userinfo=provider.userinfo and not asks_userinfo,
        userinfo_url=provider.userinfo_url,
    )


def _is_openid(scopes: Scopes, provider: FilledProxy) -> bool:
    match provider.row.openid:
        case "always":
            return True
        case "asked":
            return scopes.requested is None or "openid" in scopes.requested
        case "never":
            return False


def _scopes(scopes: Scopes, provider: FilledProxy, *, openid: bool) -> tuple[str, ...]:
    """Give what is asked for at each login, in the provider's spelling.

    Where a token is for the API whose scopes are asked for, one of ours is always among them.
    """
    chosen = provider.row.scopes if scopes.requested is None else tuple(scopes.requested)
    asked = (("openid",) if openid else ()) + tuple(_spelled(scope, provider) for scope in chosen)
    if provider.own_api_scope and _OPENID.issuperset(asked):
        ours = scopes.required or (scopes.supported or [])[:1]
        asked += tuple(_spelled(scope, provider) for scope in ours) or (provider.own_api_scope,)
    return tuple(dict.fromkeys(asked))


def _spelled(scope: str, provider: FilledProxy) -> str:
    return scope if scope in _OPENID or "://" in scope else f"{provider.scope_prefix}{scope}"


def _parameters(proxy: Proxy, provider: FilledProxy) -> tuple[Parameter, ...]:
    """Give the further parameters of the authorization request; the user's win over the preset's."""
    offline = provider.offline_params if "refresh_token" in proxy.grant_types else {}
    merged = {**provider.authorize_params, **offline, **proxy.extra_authorize_params}
    return tuple(Parameter(name, merged[name]) for name in sorted(merged))
