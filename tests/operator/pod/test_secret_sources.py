"""Which Secrets join the volume, and what a change of them means for running pods."""

from typing import Any

import pytest

from postern_operator.pod.secret_sources import SecretSource, secret_sources
from postern_operator.pod.workload import shape
from postern_operator.policy.stored import parse
from tests.operator.pod.samples import SETTINGS, injected, make_pod, make_policy

Object = dict[str, Any]
CLIENT: Object = {"id": "postern", "secretRef": {"name": "login"}}
PROXY: Object = {"mode": "Proxy", "proxy": {"client": CLIENT}}
KEYS = SecretSource("postern-weather-keys", "keys.json", "keys.json")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, (), id="direct"),
        pytest.param(PROXY, (KEYS, SecretSource("login", "client-secret", "client-secret")), id="proxy"),
        pytest.param(
            {"mode": "Proxy", "proxy": {"client": {"id": "postern", "authMethod": "none"}}}, (KEYS,), id="no secret"
        ),
        pytest.param(
            {"verification": {"introspection": {"clientID": "c", "secretRef": {"name": "check", "key": "k"}}}},
            (SecretSource("check", "k", "introspection-secret"),),
            id="introspection",
        ),
        pytest.param({"verification": {"introspection": {}}}, (), id="introspection as our client"),
    ],
)
def test_secrets_of_a_policy(spec: Object, expected: tuple[SecretSource, ...]) -> None:
    assert secret_sources(parse(make_policy(**spec))) == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({}, id="mode"),
        pytest.param({"proxy": {"client": {"secretRef": {"name": "other"}}}}, id="another Secret"),
        pytest.param({"proxy": {"client": {"secretRef": {"key": "other"}}}}, id="another key"),
    ],
)
def test_other_secrets_are_another_shape_and_so_a_rollout(other: Object) -> None:
    changed = make_policy(**PROXY)
    for part, value in other.items():
        changed["spec"][part]["client"]["secretRef"] |= value["client"]["secretRef"]

    assert shape(changed if other else make_policy(), SETTINGS) != shape(make_policy(**PROXY), SETTINGS)


def test_what_sidecars_read_from_the_files_is_no_other_shape() -> None:
    remembering = make_policy(mode="Proxy", proxy={"client": CLIENT, "consent": "Remember"})

    assert shape(remembering, SETTINGS) == shape(make_policy(**PROXY), SETTINGS)


def test_no_secret_keeps_a_pod_from_starting() -> None:
    (volume,) = injected(make_pod(), make_policy(**PROXY)).pod["spec"]["volumes"]

    secrets = [source["secret"] for source in volume["projected"]["sources"] if "secret" in source]
    assert [secret["optional"] for secret in secrets] == [True, True]


def test_secrets_are_mounted_into_the_sidecar_alone() -> None:
    pod = injected(make_pod(), make_policy(**PROXY)).pod["spec"]

    whole = [
        container["name"]
        for container in (*pod["initContainers"], *pod["containers"])
        for mount in container.get("volumeMounts") or []
        if mount["name"] == "postern" and mount.get("subPath") != "policy.json"
    ]
    assert set(whole) == {"postern"}
