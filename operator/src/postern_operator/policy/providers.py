"""The identity provider of one policy: this module fills in the table's row for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from postern_crds.sidecar_config import EndpointsConfig
from postern_crds.v1alpha1 import PolicySpec, Provider
from postern_operator.policy.addresses import callback_url
from postern_operator.policy.preset import Advice, Preset, ProxyPreset, Values
from postern_operator.policy.presets import PRESETS

__all__ = ["Advice", "FilledProxy", "Issuer", "issuer_of"]


@dataclass(frozen=True, slots=True)
class FilledProxy:
    """What a provider needs of us as its client; templates of the row filled in."""

    row: ProxyPreset
    """For all that is no template."""
    remote_url: str | None
    """``{client_id}`` in it is for the sidecar."""
    authorize_params: Mapping[str, str]
    offline_params: Mapping[str, str]
    scope_prefix: str
    own_api_scope: str
    """Empty: none is needed."""
    userinfo: bool
    """Whether the claims of userinfo are wanted besides those of the tokens."""
    userinfo_url: str | None


@dataclass(frozen=True, slots=True)
class Issuer:
    """The authorization server of one policy."""

    provider: str
    """Member of spec.provider."""
    issuer: str
    """Identifier, byte for byte as its metadata states it (SPEC 17)."""
    other_issuers: tuple[str, ...]
    """Further values of iss."""
    metadata_urls: tuple[str, ...]
    """Where its metadata may be, in the order to try (SPEC 19). Empty: it has none, or none is needed."""
    jwks_uri: str | None
    """None: from the metadata."""
    endpoints: EndpointsConfig
    audiences: tuple[str, ...]
    """What its tokens name in aud when the policy does not say."""
    names_resource: bool
    """Whether those audiences tell this resource from others of the same provider."""
    claims: Mapping[str, tuple[str, ...]]
    """Claims to look at, by field of the claim table, where the user left the default."""
    advice: Advice
    proxy: FilledProxy | None
    """None in mode Direct."""


def issuer_of(spec: PolicySpec) -> Issuer:
    """Give the authorization server of a policy.

    Raises ValueError unless exactly one provider is named, and it has the policy's mode.
    """
    name, values = _member(spec.provider)
    preset = PRESETS[name]
    proxy = None if spec.proxy is None else preset.proxy
    if (spec.mode == "Proxy") != (proxy is not None) or not (proxy or preset.direct):
        raise ValueError(f"spec: provider {name} has no mode {spec.mode}, or spec.proxy does not fit it")
    values |= {"resource": spec.resource.url, "callback": callback_url(spec)}
    values["client_id"] = None if spec.proxy is None else spec.proxy.client.id
    values |= preset.derive(values) if preset.derive else {}
    issuer = _first(preset.issuer, values)
    audiences = preset.audiences if proxy is None or proxy.audiences is None else proxy.audiences
    return Issuer(
        provider=name,
        issuer=issuer,
        other_issuers=_all(preset.other_issuers, values),
        metadata_urls=() if proxy and _is_complete(preset, values, spec) else _metadata_urls(issuer, preset),
        jwks_uri=values.get("jwks_uri"),
        endpoints=_endpoints(preset, values),
        audiences=_all(audiences, values),
        names_resource=preset.names_resource,
        claims=preset.claims,
        advice=_advice(preset.advice, proxy, values),
        proxy=None if proxy is None else _filled(proxy, values),
    )


def _member(provider: Provider) -> tuple[str, dict[str, Any]]:
    """Give the name of the one member that is there, as users write it, and its fields."""
    members = {f.encode_name: getattr(provider, f.name) for f in msgspec.structs.fields(provider)}
    named = [(name, msgspec.structs.asdict(member)) for name, member in members.items() if member is not None]
    if len(named) != 1:
        raise ValueError(f"spec.provider: must have exactly one of {', '.join(members)}")
    return named[0]


def _is_complete(preset: Preset, values: Values, spec: PolicySpec) -> bool:
    """Tell whether the policy itself names all that mode Proxy asks of the provider."""
    by_kind = {"Userinfo": ("userinfo_endpoint",), "Introspection": ("introspection_endpoint",)}
    needed = (*preset.complete_with, *by_kind.get(spec.verification.kind or "", ()))
    return bool(preset.complete_with) and all(values.get(name) for name in needed)


def _endpoints(preset: Preset, values: Values) -> EndpointsConfig:
    known = {f.name: _fill(preset.endpoints.get(f.name), values) for f in msgspec.structs.fields(EndpointsConfig)}
    return EndpointsConfig(**known)


def _advice(advice: Advice, proxy: ProxyPreset | None, values: Values) -> Advice:
    audience = advice.audience if proxy is None or proxy.audience_advice is None else proxy.audience_advice
    client = "" if proxy is None else advice.client.format_map(values)
    return Advice(audience.format_map(values), advice.registration, advice.issuer, client)


def _filled(row: ProxyPreset, values: Values) -> FilledProxy:
    return FilledProxy(
        row=row,
        remote_url=_fill(row.remote.url, values) if row.remote else None,
        authorize_params={name: template.format_map(values) for name, template in row.authorize_params.items()},
        offline_params={name: template.format_map(values) for name, template in row.offline_params.items()},
        scope_prefix=_first(row.scope_prefix, values) if row.scope_prefix else "",
        own_api_scope=_first(row.own_api_scope, values) if row.own_api_scope else "",
        # Who names the endpoint wants its claims.
        userinfo=row.userinfo or values.get("userinfo_endpoint") is not None,
        userinfo_url=_fill(row.userinfo_url, values),
    )


def _fill(template: str | None, values: Values) -> str | None:
    """Fill a template in; None when there is none, or a field that it names is absent."""
    present = {name: value for name, value in values.items() if value is not None}
    try:
        return None if template is None else template.format_map(present)
    except KeyError:
        return None


def _all(templates: tuple[str, ...], values: Values) -> tuple[str, ...]:
    return tuple(text for template in templates if (text := _fill(template, values)) is not None)


def _first(templates: tuple[str, ...], values: Values) -> str:
    return _all(templates, values)[0]


def _metadata_urls(issuer: str, preset: Preset) -> tuple[str, ...]:
    """Give the places of its forms of metadata; without a path two of them are one.

    A slash that ends the issuer is removed before insertion (RFC 8414 section 3.1, OpenID Connect Discovery 4.1).
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    places = {
        "oauth-inserted": f"{origin}/.well-known/oauth-authorization-server{path}",
        "oidc-inserted": f"{origin}/.well-known/openid-configuration{path}",
        "oidc-appended": f"{origin}{path}/.well-known/openid-configuration",
    }
    return tuple(dict.fromkeys(places[form] for form in preset.metadata))
