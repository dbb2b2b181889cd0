"""The rendered file: what a sidecar refuses to read."""

from collections.abc import Callable

import msgspec
import pytest

from postern_crds import sidecar_config as sc


def _config() -> sc.SidecarConfig:
    return sc.seal(
        sc.SidecarConfig(
            schema_version=sc.SCHEMA_VERSION,
            hash="",
            policy=sc.PolicyRef(namespace="team-a", name="weather", uid="u", generation=3),
            mode="Direct",
            resource=sc.ResourceConfig(
                url="https://mcp.example.com/mcp",
                metadata_url="https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
                path="/mcp",
                prefix="",
                name="",
                documentation="",
            ),
            server=sc.ServerConfig(path="/mcp", public_paths=(), host=None, allowed_hosts=(), allowed_origins=()),
            issuer=sc.IssuerConfig(
                provider="custom",
                issuer="https://i.example.com",
                metadata_urls=("https://i.example.com/.well-known/oauth-authorization-server",),
                jwks_uri=None,
                private_ca=False,
            ),
            verification=sc.VerificationConfig(
                audiences=("https://mcp.example.com/mcp",),
                audience_required=True,
                algorithms=("RS256",),
                leeway_s=30,
                required_scopes=(),
                supported_scopes=(),
            ),
            claims=sc.ClaimTable(
                user_id=("sub",),
                email=("email",),
                name=("name",),
                username=("username",),
                nickname=("nickname",),
                picture=("picture",),
                roles=("roles",),
                permissions=("permissions",),
                organization_id=("org_id",),
                scopes=("scope",),
            ),
            forward=sc.ForwardConfig(identity_headers=True, claims=()),
            log=sc.LogConfig(level="info", audit=True),
        )
    )


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def test_a_file_reads_back_as_it_was_written() -> None:
    config = _config()

    assert sc.decode(sc.encode(config).encode()) == config


def test_the_hash_does_not_depend_on_the_generation() -> None:
    config = _config()
    later = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, generation=9))

    assert sc.config_hash(later) == config.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_swap('"schemaVersion": 1', '"schemaVersion": 2'), "schemaVersion 2", id="newer"),
        pytest.param(_swap('"audienceRequired": true', '"audienceRequired": false'), "hash", id="edited"),
        pytest.param(_swap('"mode": "Direct"', '"mode": "Direct", "extra": 1'), "extra", id="unknown"),
        pytest.param(lambda t: t[: len(t) // 2], "truncated", id="torn"),
        pytest.param(lambda _: "", "truncated", id="empty"),
        pytest.param(lambda _: "[]", "object", id="not an object"),
        pytest.param(_swap('"leewayS": 30', '"leewayS": "30"'), "int", id="wrong type"),
    ],
)
def test_a_file_that_is_not_as_written_is_refused(change: Callable[[str], str], message: str) -> None:
    text = change(sc.encode(_config()))

    with pytest.raises(ValueError, match=message):
        sc.decode(text.encode())
