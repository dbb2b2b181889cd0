"""The objects that the controller applies, and the paths that an Ingress must send here."""

import base64
from typing import Any

import pytest

from postern_crds import key_ring
from postern_crds.sidecar_config import decode
from postern_operator.policy.keyring import Master, ring
from postern_operator.policy.objects import config_map, keys_secret, routes
from postern_operator.policy.render import render
from tests.operator.pod.samples import make_policy


def test_config_map_holds_the_file_and_belongs_to_the_policy() -> None:
    policy = make_policy()
    config = render(policy)

    found = config_map(policy, config)

    assert found["metadata"] == {
        "name": "postern-weather",
        "namespace": "team-a",
        "labels": {"postern.dev/managed": "true", "postern.dev/policy": "weather"},
        "ownerReferences": [
            {
                "apiVersion": "postern.dev/v1alpha1",
                "kind": "McpAuthPolicy",
                "name": "weather",
                "uid": "2f4e",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    assert (found["apiVersion"], found["kind"], list(found["data"])) == ("v1", "ConfigMap", ["policy.json"])
    assert decode(found["data"]["policy.json"].encode()) == config


def test_config_map_notes_which_keys_were_applied_beside_it() -> None:
    policy = make_policy()

    found = config_map(policy, render(policy), "0123456789abcdef")

    assert found["metadata"]["annotations"] == {"postern.dev/keys": "0123456789abcdef"}


def test_key_secret_holds_the_ring_and_belongs_to_the_policy() -> None:
    policy = make_policy()
    made = ring([Master("20261121T000000Z", b"m" * 32)], "2f4e", 1_795_219_200)

    found = keys_secret(policy, made)

    beside = config_map(policy, render(policy))["metadata"]
    assert found["metadata"] == beside | {"name": "postern-weather-keys"}
    assert (found["apiVersion"], found["kind"], found["type"]) == ("v1", "Secret", "Opaque")
    assert key_ring.decode(base64.b64decode(found["data"].pop("keys.json"))) == made
    assert found["data"] == {}


def _proxy(**proxy: Any) -> dict[str, Any]:
    return {"mode": "Proxy", "proxy": {"client": {"id": "postern", "secretRef": {"name": "login"}}, **proxy}}


@pytest.mark.parametrize(
    ("url", "prefix", "proxy", "expected"),
    [
        pytest.param(
            "https://h.example/mcp",
            "",
            {},
            [
                "/mcp",
                "/.well-known/oauth-protected-resource/mcp",
                "/.well-known/oauth-protected-resource",
                "/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration",
                "/authorize",
                "/consent",
                "/token",
                "/register",
                "/revoke",
                "/oauth/callback",
                "/health",
            ],
            id="whole host",
        ),
        pytest.param(
            "https://h.example/weather/mcp",
            "/weather",
            {"callbackPath": "/back"},
            [
                "/weather/*",
                "/.well-known/oauth-protected-resource/weather/mcp",
                "/.well-known/oauth-authorization-server/weather",
                "/.well-known/openid-configuration/weather",
                "/health",
            ],
            id="part of a host",
        ),
    ],
)
def test_routes_of_mode_proxy_lead_the_whole_authorization_server_here(
    url: str, prefix: str, proxy: dict[str, Any], expected: list[str]
) -> None:
    policy = make_policy(
        resource={"url": url, "prefix": prefix}, server={"publicPaths": ["/health"]}, **_proxy(**proxy)
    )

    assert routes(render(policy)) == expected


@pytest.mark.parametrize(
    ("url", "prefix", "public", "expected"),
    [
        pytest.param(
            "https://h.example/mcp",
            "",
            ["/health"],
            [
                "/mcp",
                "/.well-known/oauth-protected-resource/mcp",
                "/.well-known/oauth-protected-resource",
                "/.well-known/oauth-authorization-server",
                "/health",
            ],
            id="whole host",
        ),
        pytest.param(
            "https://h.example/",
            "",
            [],
            ["/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"],
            id="root",
        ),
        pytest.param(
            "https://h.example/weather/mcp",
            "/weather",
            ["/weather/health", "/assets/*"],
            ["/weather/*", "/.well-known/oauth-protected-resource/weather/mcp", "/assets/*"],
            id="part of a host",
        ),
    ],
)
def test_routes_name_what_must_reach_the_sidecar(url: str, prefix: str, public: list[str], expected: list[str]) -> None:
    policy = make_policy(resource={"url": url, "prefix": prefix}, server={"publicPaths": public})

    assert routes(render(policy)) == expected
