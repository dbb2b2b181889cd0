"""A facade's context and requests, for tests of its endpoints."""

import base64
import json as json_codec
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from postern_crds.key_ring import KeyRing, RingKey, encode_secret
from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade.clients import Clients
from postern_sidecar.facade.context import Context, IdentityProvider
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.exchange import Exchange
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest
from postern_sidecar.facade.refreshing import Refreshing
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.idp.endpoints import Endpoints
from postern_sidecar.idp.metadata import Metadata, load_metadata
from postern_sidecar.idp.refreshed import Clock, Loaded, Refreshed
from postern_sidecar.metrics import create_metrics
from postern_sidecar.outcome import Reason, Unavailable
from postern_sidecar.sealing import Seals, upstream_name
from postern_sidecar.tokens.jwks import Jwks
from tests.support.policies import make_proxy_config

__all__ = ["NOW", "basic", "body_of", "header_of", "make_context", "make_idp", "make_request", "make_ring"]

NOW = 1_800_000_000.0
"""The time of every request that states no other."""

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class NoAccessTokens:
    """An identity provider whose tokens cannot be read for now."""

    async def claims(self, token: bytes, now: float) -> Unavailable:
        return Unavailable(Reason.METADATA_UNAVAILABLE)


def make_ring(*names: str, not_before: float = 0.0) -> KeyRing:
    """A ring with a key of each name; the same name is always the same key, each seals a day after the one before."""
    keys = (
        RingKey(kid=name, secret=encode_secret(name.encode().ljust(32, b".")), not_before=int(not_before + 86400 * i))
        for i, name in enumerate(names or ("ring-1",))
    )
    return KeyRing(tuple(keys))


def make_idp(config: SidecarConfig, *, client_secret: str | None = "upstream-secret", **parts: Any) -> IdentityProvider:
    """The identity provider of a policy, fetched over the network when asked; parts replace those of that name."""
    clock = Clock(monotonic=lambda: NOW, wall=lambda: NOW)
    client: IdpClient = parts.get("client") or IdpClient(None, ca_required=False)

    async def load() -> Loaded[Metadata]:
        return await load_metadata(client, config.issuer)

    metadata: Refreshed[Metadata] = parts.get("metadata") or Refreshed(load, clock)
    return IdentityProvider(
        client=client,
        endpoints=parts.get("endpoints") or Endpoints(config.issuer, metadata),
        metadata=metadata,
        jwks=parts.get("jwks") or Jwks(client, config.issuer.jwks_uri, metadata, clock, create_metrics()),
        tokens=parts.get("tokens") or NoAccessTokens(),
        client_secret=client_secret,
    )


def make_context(
    config: SidecarConfig | None = None,
    *,
    ring: KeyRing | None = None,
    idp: IdentityProvider | None = None,
    documents: Documents | None = None,
    **fields: Any,
) -> Context:
    """A context as one policy's facade has it; fields are further ones of Context."""
    config = config or make_proxy_config()
    assert config.proxy is not None
    seals = Seals(ring or make_ring(), config.proxy.issuer, upstream_name(config, config.proxy))
    idp = idp or make_idp(config)
    upstream = config.proxy.upstream
    fields.setdefault("exchange", Exchange(upstream, idp.endpoints, idp.client, idp.client_secret))
    fields.setdefault("refreshing", Refreshing())
    return Context(
        config=config,
        proxy=config.proxy,
        seals=seals,
        clients=Clients(config, seals, documents or Documents(refuse_to_fetch)),
        idp=idp,
        **fields,
    )


async def refuse_to_fetch(url: str) -> Any:
    raise AssertionError(f"nothing should be fetched, but {url} was")


def make_request(
    method: str = "GET",
    *,
    query: Pairs | bytes = b"",
    form: Pairs | None = None,
    json: object = None,
    body: bytes = b"",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    cookies: Mapping[str, str] | None = None,
    now: float = NOW,
) -> FacadeRequest:
    """A request; a form or JSON body brings its content type, unless headers state one."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    if form is not None:
        body = _encode(form)
        _default(raw, b"content-type", b"application/x-www-form-urlencoded")
    elif json is not None:
        body = json_codec.dumps(json).encode()
        _default(raw, b"content-type", b"application/json")
    if cookies:
        raw.append((b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()))
    return FacadeRequest(
        method=method,
        query=query if isinstance(query, bytes) else _encode(query),
        headers=tuple(raw),
        body=body,
        request_id="request-1",
        now=now,
    )


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic, without form-encoding the parts."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def body_of(answer: FacadeAnswer) -> dict[str, Any]:
    """The JSON object of an answer."""
    document = json_codec.loads(answer.body)
    assert isinstance(document, dict)
    return document


def header_of(answer: FacadeAnswer, name: str) -> str | None:
    """The only header of this name; None: there is none."""
    values = [value.decode() for key, value in answer.headers if key == name.encode()]
    assert len(values) <= 1, f"{name} is there {len(values)} times"
    return values[0] if values else None


def _encode(pairs: Pairs) -> bytes:
    return urlencode(list(pairs.items()) if isinstance(pairs, Mapping) else list(pairs)).encode()


def _default(headers: list[tuple[bytes, bytes]], name: bytes, value: bytes) -> None:
    if all(key != name for key, _ in headers):
        headers.append((name, value))
