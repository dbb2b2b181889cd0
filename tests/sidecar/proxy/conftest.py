"""An identity provider that knows one client, and policies that make a sidecar this client."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postern_crds import key_ring
from postern_crds.key_ring import KeyRing
from postern_crds.sidecar_config import encode
from tests.sidecar.facade.building import make_ring
from tests.sidecar.policy.volume import Volume
from tests.support.fake_idp import FakeIdp
from tests.support.policies import PROXY, make_proxy_config
from tests.support.tokens import SigningPair

MakeFiles = Callable[..., dict[str, bytes]]


@pytest.fixture
def idp(rsa_pair: SigningPair) -> Iterator[FakeIdp]:
    with FakeIdp(rsa_pair) as provider:
        yield provider


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


@pytest.fixture
def files(idp: FakeIdp) -> MakeFiles:
    """Makes the contents of a directory; parts as make_proxy_config takes them, None for a file leaves it out."""

    def _make(
        *,
        proxy: dict[str, Any] | None = None,
        ring: KeyRing | None = make_ring("ring-1"),  # noqa: B008 - a value
        secret: str | None = "",
        **parts: Any,
    ) -> dict[str, bytes]:
        issuer = {"issuer": idp.issuer, "metadata_urls": idp.metadata_urls, **parts.pop("issuer", {})}
        verification = {"supported_scopes": ("mcp:read", "mcp:write"), **parts.pop("verification", {})}
        changed = msgspec.structs.replace(PROXY, **(proxy or {}))
        config = make_proxy_config(changed, issuer=issuer, verification=verification, **parts)
        made = {"policy.json": encode(config).encode()}
        if ring is not None:
            made["keys.json"] = key_ring.encode(ring).encode()
        if secret is not None:
            made["client-secret"] = (secret or idp.client.secret).encode() + b"\n"
        return made

    return _make
