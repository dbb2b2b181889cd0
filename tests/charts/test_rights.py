from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from postern_crds.v1alpha1 import KIND
from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.cluster.transport import Call, Transport
from tests.charts.rendering import NAMESPACE, Helm, Object, one, variables

pytestmark = pytest.mark.cluster

Right = tuple[str, str, str]
"""API group, resource (with subresource), verb."""

POLICY = {"apiVersion": "postern.dev/v1alpha1", "metadata": {"namespace": "a", "name": "p", "uid": "u"}}
POD = {"metadata": {"namespace": "a", "name": "p", "uid": "u"}}
CONFIG_MAP = {"metadata": {"namespace": "a", "name": "postern-p"}}
OWN_SECRETS = ("postern-webhook-certificate", names.MASTER_KEYS_SECRET)
OPTIONS = {"metadata": {"name": "postern", "resourceVersion": "1"}}


async def _apply_all_templates(cluster: Cluster) -> None:
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        await cluster.apply_template({"kind": kind, "metadata": {"namespace": "a", "name": "w", "uid": "u"}})


async def _read_own_secrets(cluster: Cluster) -> None:
    for name in OWN_SECRETS:
        await cluster.get_secret(NAMESPACE, name)


async def _create_and_update_secret(cluster: Cluster) -> None:
    metadata = {"namespace": NAMESPACE, "name": "postern-webhook-certificate"}
    await cluster.write_secret({"metadata": metadata})
    await cluster.write_secret({"metadata": metadata | {"resourceVersion": "1"}})


CALLS: dict[str, Callable[[Cluster], Awaitable[object] | AsyncIterator[object]]] = {
    "get_policy": lambda c: c.get_policy("a", "p"),
    "get_namespace": lambda c: c.get_namespace("a"),
    "get_config_map": lambda c: c.get_config_map("a", "m"),
    "list_policies": lambda c: c.list_policies(),
    "list_workloads": lambda c: c.list_workloads(),
    "list_pods": lambda c: c.list_pods(),
    "list_managed_config_maps": lambda c: c.list_managed_config_maps(),
    "apply_config_map": lambda c: c.apply_config_map(CONFIG_MAP),
    "apply_secret": lambda c: c.apply_secret(CONFIG_MAP),
    "delete_secret": lambda c: c.delete_secret("a", "postern-p-keys"),
    "apply_template": _apply_all_templates,
    "patch_status": lambda c: c.patch_status(POLICY, {}),
    "nudge_pod": lambda c: c.nudge_pod(POD, "hash"),
    "create_event": lambda c: c.create_event(POD),
    "get_secret": _read_own_secrets,
    "write_secret": _create_and_update_secret,
    "get_webhook_configuration": lambda c: c.get_webhook_configuration("postern"),
    "patch_ca_bundle": lambda c: c.patch_ca_bundle(OPTIONS, ["pods.postern.dev"], ""),
}
"""Every call that the operator can make. One that is missing here has no right yet."""

WEBHOOK_CALLS = {"get_policy", "get_namespace"}
CONTROLLER_CALLS = set(CALLS) - {"get_namespace"}
CERTIFICATE_CALLS = {"get_webhook_configuration", "patch_ca_bundle"}
CERTIFICATE_RIGHTS: set[Right] = {("", "secrets", "update")}
"""With which a Secret is renewed; the first master key is created and then only read."""
WATCHES: set[Right] = {
    (group, resource, verb)
    for group, resource in (("postern.dev", "mcpauthpolicies"), ("", "pods"))
    for verb in ("list", "watch")
}
"""What kopf reads for the controller's handlers."""


class Recorder(Transport):
    """Answers every call with an empty object and keeps the right that it would have needed."""

    def __init__(self) -> None:
        self.rights: set[Right] = set()

    async def request(self, call: Call) -> dict[str, Any]:
        self.rights |= _rights_of(call)
        return {"kind": KIND}


def _rights_of(call: Call) -> set[Right]:
    parts = call.path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource = "/".join([rest[0], *rest[2:]])
    verbs = {
        "GET": ["get" if len(rest) > 1 else "list"],
        "POST": ["create"],
        "PUT": ["update"],
        # Server-side apply creates what is not there; only ConfigMaps and key Secrets may be missing.
        "PATCH": ["patch", "create"] if resource in ("configmaps", "secrets") else ["patch"],
        "DELETE": ["delete"],
    }
    return {(group, resource, verb) for verb in verbs[call.method]}


async def _needed(calls: set[str]) -> set[Right]:
    recorder = Recorder()
    for name in calls:
        called = CALLS[name](Cluster(recorder))
        if isinstance(called, AsyncIterator):
            _ = [item async for item in called]
        else:
            await called
    return recorder.rights


def _given(objects: list[Object], role: str) -> set[Right]:
    rules = [
        rule
        for o in objects
        if o["kind"] in ("ClusterRole", "Role") and o["metadata"]["name"] == f"postern-{role}"
        for rule in o["rules"]
    ]
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


def test_every_call_of_the_operator_is_known_here() -> None:
    assert {name for name in vars(Cluster) if not name.startswith("_")} == set(CALLS)


async def test_controller_has_the_rights_of_its_calls_and_no_others(objects: list[Object]) -> None:
    assert _given(objects, "controller") == await _needed(CONTROLLER_CALLS) | WATCHES


async def test_webhook_has_the_rights_of_its_calls_and_no_others(objects: list[Object]) -> None:
    assert _given(objects, "webhook") == await _needed(WEBHOOK_CALLS)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["certificates.mode=certManager"], id="cert-manager"),
        pytest.param(
            [
                "certificates.mode=provided",
                "certificates.provided.secretName=mine",
                "certificates.provided.caBundle=-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
            ],
            id="provided",
        ),
    ],
)
async def test_without_own_certificates_no_secret_but_the_master_keys_is_read(helm: Helm, settings: list[str]) -> None:
    objects = helm.objects(*settings)
    needed = await _needed(CONTROLLER_CALLS - CERTIFICATE_CALLS) - CERTIFICATE_RIGHTS
    assert _given(objects, "controller") == needed | WATCHES
    assert _readable_secrets(objects) == {names.MASTER_KEYS_SECRET}


def test_no_rule_has_a_wildcard(objects: list[Object]) -> None:
    for role in ("controller", "webhook"):
        assert not [right for right in _given(objects, role) if "*" in right]


def _secret_rules(objects: list[Object]) -> list[tuple[Object, Object]]:
    """Every rule on Secrets, with the role that it is in."""
    roles = [o for o in objects if o["kind"] in ("ClusterRole", "Role")]
    return [(role, rule) for role in roles for rule in role["rules"] if "secrets" in rule["resources"]]


def _readable_secrets(objects: list[Object]) -> set[str]:
    found: set[str] = set()
    for role, rule in _secret_rules(objects):
        if {"get", "list", "watch"} & set(rule["verbs"]):
            assert (role["kind"], role["metadata"]["namespace"]) == ("Role", NAMESPACE)
            found |= set(rule["resourceNames"])
    return found


def test_secrets_are_read_in_the_own_namespace_by_name_alone(objects: list[Object]) -> None:
    certificate = variables(one(objects, "Deployment", "postern-controller"))["POSTERN_CERTIFICATE_SECRET"]
    assert _readable_secrets(objects) == {certificate, names.MASTER_KEYS_SECRET}


def test_secrets_of_tenants_can_be_written_and_deleted_but_never_read(objects: list[Object]) -> None:
    rights = [rule["verbs"] for role, rule in _secret_rules(objects) if role["kind"] == "ClusterRole"]
    assert rights == [["create", "patch", "delete"]]


def test_only_the_own_webhook_configuration_can_be_changed(objects: list[Object]) -> None:
    rules = one(objects, "ClusterRole", "postern-controller")["rules"]
    (rule,) = [rule for rule in rules if "mutatingwebhookconfigurations" in rule["resources"]]
    assert rule["resourceNames"] == ["postern"]


def test_every_rule_says_why(helm: Helm) -> None:
    lines = helm.text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("  - apiGroups:")]
    assert rules
    assert [lines[number] for number in rules if not lines[number - 1].startswith("  # ")] == []


def test_roles_are_bound_to_their_accounts_alone(objects: list[Object]) -> None:
    bindings = [o for o in objects if o["kind"] in ("ClusterRoleBinding", "RoleBinding")]
    assert len(bindings) == 3
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert binding["roleRef"]["name"] == subject["name"] == binding["metadata"]["name"]
        assert subject["namespace"] == NAMESPACE
