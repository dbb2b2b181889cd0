"""The ConfigMap that the controller applies, and the paths that an Ingress must send here."""

import pytest

from postern_crds.sidecar_config import decode
from postern_operator.policy.objects import config_map, routes
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
