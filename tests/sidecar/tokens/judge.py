"""One call for what a verifier does with a token when the keys are at hand."""

import json
from collections.abc import Mapping
from typing import Any

from postern_sidecar.outcome import Reason
from postern_sidecar.tokens.jwt import read_header, verify
from postern_sidecar.tokens.keys import KeyRing, read_keys
from postern_sidecar.tokens.registered import Expected
from tests.support.tokens import SigningPair

NOW = 1_800_000_000.0
ISSUER = "https://sso.example.com"
AUDIENCE = "https://mcp.example.com/mcp"
ALGORITHMS = frozenset(("RS256", "PS256", "ES256", "EdDSA"))


def ring_of(*pairs: SigningPair, **members: Any) -> KeyRing:
    """The key set of these keys, each with the given members of a JWK."""
    return ring_from(*(pair.jwk(**members) for pair in pairs))


def ring_from(*keys: Any) -> KeyRing:
    """The key set of these entries."""
    return read_keys(json.dumps({"keys": keys}).encode())


def judge(
    token: str,
    ring: KeyRing,
    *,
    algorithms: frozenset[str] = ALGORITHMS,
    audience_required: bool = True,
    client_id: str = "",
) -> Mapping[str, Any] | Reason:
    """The claims of a good token, or why it is refused."""
    header = read_header(token.encode(), algorithms)
    if isinstance(header, Reason):
        return header
    audiences = frozenset((AUDIENCE, "second"))
    expected = Expected(
        frozenset((ISSUER,)), audiences, audience_required=audience_required, client_id=client_id, leeway_s=30
    )
    return verify(token.encode(), header, ring, expected, NOW)
