"""The status of a policy: counts, conditions, reasons, and what is carried over."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from postern_crds.status import PolicyStatus
from postern_operator.policy.render import render
from postern_operator.status.conditions import Problem
from postern_operator.status.observe import Seen, differs, observe
from tests.operator.pod.samples import make_policy, merged
from tests.operator.status.scenes import CONFIG, NOW, POLICY, make_pod, make_report, make_workload

Object = dict[str, Any]
WITHOUT_SIDECAR: Object = {"spec": {"initContainers": None}, "status": {"initContainerStatuses": None}}
INVALID = Problem("Accepted", "Invalid", "spec.mode: wrong")


def _observe(
    workloads: Sequence[Object] = (),
    pods: Sequence[Object] = (),
    reports: dict[str, Object | None] | None = None,
    problems: Sequence[Problem] = (),
) -> Object:
    return observe(POLICY, CONFIG, problems, Seen(workloads, pods, reports or {}), now=NOW)


def _healthy() -> Object:
    pods = [make_pod("a"), make_pod("b")]
    return _observe([make_workload(desired=2)], pods, {"a": make_report(), "b": make_report()})


def _condition(status: Object, kind: str) -> Object:
    found: Object = next(condition for condition in status["conditions"] if condition["type"] == kind)
    return found


def _verdict(status: Object, kind: str) -> tuple[str, str]:
    condition = _condition(status, kind)
    return condition["status"], condition["reason"]


def test_status_fits_the_schema_of_the_resource() -> None:
    status = _healthy()

    read = msgspec.convert(status, PolicyStatus)

    assert [condition.type for condition in read.conditions] == [
        "Accepted", "ResolvedRefs", "Programmed", "Enforced", "IssuerReachable", "AudienceUnchecked", "Ready",
    ]  # fmt: skip
    assert all(condition.observed_generation == 3 for condition in read.conditions)


def test_healthy_policy_is_described_in_full() -> None:
    status = _healthy()

    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Accepted": "True",
        "ResolvedRefs": "True",
        "Programmed": "True",
        "Enforced": "True",
        "IssuerReachable": "True",
        "AudienceUnchecked": "False",
        "Ready": "True",
    }
    assert status["observedGeneration"] == 3
    assert status["configHash"] == CONFIG.hash
    assert status["provider"] == "keycloak"
    assert status["resourceMetadataURL"] == "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
    assert status["routes"][0] == "/mcp"
    assert status["readyTargets"] == "2/2"
    assert status["targets"] == {"desired": 2, "injected": 2, "current": 2, "unprotected": 0, "unknown": 0}
    assert status["workloads"] == [
        {"kind": "Deployment", "name": "weather", "desired": 2, "injected": 2, "current": 2, "capture": "Redirect"}
    ]
    assert status["issuer"] == {
        "issuer": "https://sso.example.com/realms/corp",
        "jwksKeys": 2,
        "lastSuccess": "2026-02-03T04:00:00Z",
        "registration": True,
        "metadataDocuments": False,
        "issParameter": True,
        "pkce": True,
    }


ONE = make_workload()
POD_TABLE = [
    pytest.param([], [], {}, ("Unknown", "NoTargets"), "NoTargets", id="nobody names the policy"),
    pytest.param([ONE], [], {}, ("Unknown", "NoPods"), "NoPods", id="no pod runs"),
    pytest.param([make_workload(desired=0)], [], {}, ("True", "Enforced"), "Ready", id="scaled to zero"),
    pytest.param(
        [ONE], [make_pod("a", **WITHOUT_SIDECAR)], {}, ("False", "UnprotectedPods"), "UnprotectedPods", id="no sidecar"
    ),
    pytest.param([ONE], [make_pod("a")], {}, ("Unknown", "SidecarsUnreachable"), "SidecarsUnreachable", id="no answer"),
    pytest.param(
        [ONE],
        [make_pod("a")],
        {"a": {"configHash": 7}},
        ("Unknown", "SidecarsUnreachable"),
        "SidecarsUnreachable",
        id="an answer that no sidecar gives",
    ),
    pytest.param(
        [ONE], [make_pod("a")], {"a": make_report(configHash="old")}, ("False", "Updating"), "Updating", id="old hash"
    ),
    pytest.param(
        [ONE],
        [make_pod("a", metadata={"annotations": {"postern.dev/injected": '{"shape":"old"}'}})],
        {"a": make_report()},
        ("False", "Updating"),
        "Updating",
        id="old shape",
    ),
    pytest.param(
        [ONE],
        [make_pod("a", metadata={"annotations": {"postern.dev/injected": "nonsense"}})],
        {"a": make_report()},
        ("False", "Updating"),
        "Updating",
        id="unreadable shape",
    ),
    pytest.param(
        [ONE],
        [make_pod("a")],
        {"a": make_report(degraded="schemaVersion 2")},
        ("False", "SidecarsDegraded"),
        "SidecarsDegraded",
        id="degraded",
    ),
    pytest.param(
        [ONE],
        [make_pod("a")],
        {"a": make_report(configHash=None)},
        ("False", "SidecarsDegraded"),
        "SidecarsDegraded",
        id="no configuration",
    ),
    pytest.param(
        [make_workload(desired=2)],
        [make_pod("a")],
        {"a": make_report()},
        ("True", "Enforced"),
        "PodsMissing",
        id="a pod is missing",
    ),
    pytest.param(
        [make_workload(status={"replicas": 2, "updatedReplicas": 1})],
        [make_pod("a")],
        {"a": make_report()},
        ("False", "RollingOut"),
        "RollingOut",
        id="an older pod without label runs on",
    ),
    pytest.param(
        [make_workload(status={"replicas": 2, "updatedReplicas": 2})],
        [make_pod("a")],
        {"a": make_report()},
        ("True", "Enforced"),
        "Ready",
        id="a list that lags behind",
    ),
    pytest.param(
        [make_workload(spec={"template": {"metadata": None}})],
        [],
        {},
        ("False", "UnprotectedPods"),
        "UnprotectedPods",
        id="not stamped yet",
    ),
]


@pytest.mark.parametrize(("workloads", "pods", "reports", "enforced", "ready"), POD_TABLE)
def test_enforced_follows_from_what_was_seen_of_the_pods(
    workloads: list[Object], pods: list[Object], reports: Object, enforced: tuple[str, str], ready: str
) -> None:
    status = _observe(workloads, pods, reports)

    assert _verdict(status, "Enforced") == enforced
    assert _verdict(status, "Ready") == ("True" if ready == "Ready" else "False", ready)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": {"phase": "Pending"}}, id="pending"),
        pytest.param({"status": {"phase": "Succeeded"}}, id="ended"),
        pytest.param({"metadata": {"deletionTimestamp": NOW}}, id="being deleted"),
        pytest.param({"status": {"initContainerStatuses": None}}, id="not reported by the kubelet yet"),
        pytest.param({"metadata": {"annotations": {"postern.dev/policy": "other"}}}, id="of another policy"),
    ],
)
def test_pod_that_does_not_serve_counts_nowhere(change: Object) -> None:
    targets = _observe([make_workload()], [make_pod("a", **change)], {"a": make_report()})["targets"]

    assert targets == {"desired": 1, "injected": 0, "current": 0, "unprotected": 0, "unknown": 0}


def test_counts_are_split_by_workload_in_a_fixed_order() -> None:
    daemon = make_workload("agent", kind="DaemonSet", status={"desiredNumberScheduled": 3, "currentNumberScheduled": 1})
    agent = make_pod("x", metadata={"name": "agent-x", "labels": {"app": "agent"}})
    job = make_pod("j", metadata={"name": "job-j", "labels": {"app": "job"}})
    reports: Object = {"x": make_report(configHash="old"), "a": make_report(), "j": None}

    status = _observe([make_workload(), daemon], [job, make_pod("a"), agent], reports)

    assert [(w["kind"], w["name"], w["desired"], w["injected"], w["current"]) for w in status["workloads"]] == [
        ("DaemonSet", "agent", 3, 1, 0),
        ("Deployment", "weather", 1, 1, 1),
        ("Pod", "job-j", 1, 1, 0),
    ]
    assert status["targets"] == {"desired": 5, "injected": 3, "current": 1, "unprotected": 0, "unknown": 1}
    assert status["readyTargets"] == "1/5"


@pytest.mark.parametrize(
    ("expression", "is_selected"),
    [
        ({"key": "app", "operator": "In", "values": ["weather"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["weather"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "app", "operator": "Tomorrow"}, False),
    ],
)
def test_pods_are_found_by_selector_expressions(expression: Object, is_selected: bool) -> None:
    workload = make_workload()
    workload["spec"]["selector"] = {"matchExpressions": [expression]}

    kinds = {w["kind"]: w["injected"] for w in _observe([workload], [make_pod("a")])["workloads"]}

    assert kinds == ({"Deployment": 1} if is_selected else {"Deployment": 0, "Pod": 1})


@pytest.mark.parametrize("workloads", [pytest.param([ONE], id="of a workload"), pytest.param([], id="by itself")])
def test_pod_that_was_injected_before_the_policy_closed_a_port_is_not_current(workloads: list[Object]) -> None:
    seen = Seen(workloads, [make_pod("a")], {"a": make_report()}, shape="shape-2")

    status = observe(POLICY, CONFIG, [], seen, now=NOW)

    assert _verdict(status, "Enforced") == ("False", "Updating")
    assert status["readyTargets"] == "0/1"


def test_hundreds_of_problems_leave_room_for_the_rest_of_the_status() -> None:
    refused = [Problem("Programmed", "StampRefused", f"Deployment w{i} cannot be stamped") for i in range(500)]

    message = _condition(_observe(problems=refused), "Programmed")["message"]

    assert message.endswith("Deployment w9 cannot be stamped (and 490 more)")


def test_unlabelled_pod_of_a_workload_is_seen_as_unprotected() -> None:
    pod = make_pod("a", metadata={"annotations": None, "labels": {"postern.dev/inject": None}}, **WITHOUT_SIDECAR)

    assert _observe([make_workload()], [pod])["targets"]["unprotected"] == 1


def test_at_most_a_hundred_workloads_are_listed_but_all_are_counted() -> None:
    status = _observe([make_workload(f"w{i:03}") for i in range(120)])

    assert [w["name"] for w in status["workloads"]] == [f"w{i:03}" for i in range(100)]
    assert status["targets"]["desired"] == 120


def test_problems_become_conditions_and_the_reason_of_ready() -> None:
    missing = Problem("ResolvedRefs", "CABundleNotFound", "ConfigMap ca does not exist: create it")

    status = _observe([make_workload()], [make_pod("a")], {"a": make_report()}, [missing])

    assert _verdict(status, "ResolvedRefs") == ("False", "CABundleNotFound")
    assert _verdict(status, "Ready") == ("False", "CABundleNotFound")
    assert _condition(status, "Ready")["message"] == "ConfigMap ca does not exist: create it"


def test_policy_with_faults_keeps_what_the_pods_still_enforce() -> None:
    policy = merged(POLICY, {"status": _healthy(), "metadata": {"generation": 4}})

    status = observe(policy, None, [INVALID], Seen([make_workload()], [make_pod("a")], {"a": make_report()}), now=NOW)

    assert _verdict(status, "Accepted") == ("False", "Invalid")
    assert _verdict(status, "Programmed") == ("False", "PolicyInvalid")
    assert _verdict(status, "Enforced") == ("True", "Enforced")
    assert _verdict(status, "Ready") == ("False", "Invalid")
    assert status["configHash"] == CONFIG.hash
    assert status["observedGeneration"] == 4


def test_new_policy_with_faults_has_an_empty_description() -> None:
    status = observe(make_policy(), None, [INVALID], Seen([], [], {}), now=NOW)

    assert (status["configHash"], status["routes"], status["provider"]) == ("", [], "")
    assert _verdict(status, "AudienceUnchecked") == ("Unknown", "PolicyInvalid")


@pytest.mark.parametrize(
    ("issuer", "verdict", "says"),
    [
        pytest.param({}, ("True", "Reachable"), "signing keys of https://sso.example.com/realms/corp", id="good"),
        pytest.param(
            {"registration": False},
            ("True", "Reachable"),
            "Trusted Hosts",
            id="no registration: advice of the provider",
        ),
        pytest.param({"pkce": False}, ("True", "Reachable"), "PKCE", id="no PKCE"),
        pytest.param(
            {"reachable": False, "lastError": "answered HTML\ninstead of JSON"},
            ("False", "IssuerUnreachable"),
            "1 of 1 sidecars cannot use https://sso.example.com/realms/corp: answered HTML instead of JSON. Check "
            "provider.keycloak.url",
            id="unreachable: error and advice",
        ),
        pytest.param({"jwksKeys": 0}, ("False", "IssuerUnreachable"), "no usable signing keys", id="no keys"),
    ],
)
def test_issuer_is_told_as_the_sidecars_see_it(issuer: Object, verdict: tuple[str, str], says: str) -> None:
    status = _observe([make_workload()], [make_pod("a")], {"a": make_report(issuer=issuer)})

    assert _verdict(status, "IssuerReachable") == verdict
    assert says in _condition(status, "IssuerReachable")["message"]


def test_unreachable_issuer_makes_the_policy_not_ready() -> None:
    status = _observe([make_workload()], [make_pod("a")], {"a": make_report(issuer={"reachable": False})})

    assert _verdict(status, "Enforced") == ("True", "Enforced")
    assert _verdict(status, "Ready") == ("False", "IssuerUnreachable")


def test_issuer_is_unknown_without_reports_and_keeps_what_was_known() -> None:
    policy = merged(POLICY, {"status": _healthy()})

    status = observe(policy, CONFIG, [], Seen([make_workload()], [make_pod("a")], {"a": None}), now=NOW)

    assert _verdict(status, "IssuerReachable") == ("Unknown", "NoReports")
    assert status["issuer"] == _healthy()["issuer"]


def test_issuer_of_before_a_change_of_provider_is_forgotten() -> None:
    policy = merged(make_policy(provider={"keycloak": {"realm": "other"}}), {"status": _healthy()})

    assert "issuer" not in observe(policy, render(policy), [], Seen([], [], {}), now=NOW)


def test_long_error_of_the_outside_is_cut() -> None:
    report = make_report(issuer={"reachable": False, "lastError": "x" * 5000})

    message = _condition(_observe([make_workload()], [make_pod("a")], {"a": report}), "IssuerReachable")["message"]

    assert len(message) < 600


@pytest.mark.parametrize(
    ("spec", "verdict", "says"),
    [
        pytest.param(
            {}, ("False", "AudienceChecked"), "audience mapper that adds https://mcp.example.com/mcp", id="yes"
        ),
        pytest.param({"verification": {"audience": "IssuerOnly"}}, ("True", "IssuerOnly"), "every token", id="waived"),
        pytest.param(
            {"provider": {"keycloak": None, "supabase": {"projectID": "abcd"}}},
            ("True", "AudienceNamesNoResource"),
            "Supabase names no resource",
            id="supabase",
        ),
        pytest.param(
            {
                "provider": {"keycloak": None, "supabase": {"projectID": "abcd"}},
                "verification": {"audiences": ["https://mcp.example.com/mcp"]},
            },
            ("False", "AudienceChecked"),
            "https://mcp.example.com/mcp",
            id="supabase with a hook",
        ),
    ],
)
def test_unchecked_audience_is_told(spec: Object, verdict: tuple[str, str], says: str) -> None:
    policy = make_policy(**spec)

    status = observe(policy, render(policy), [], Seen([], [], {}), now=NOW)

    assert _verdict(status, "AudienceUnchecked") == verdict
    assert says in _condition(status, "AudienceUnchecked")["message"]


def test_transition_time_changes_with_the_status_of_a_condition_alone() -> None:
    policy = merged(POLICY, {"status": _healthy()})
    seen = Seen([make_workload(desired=2)], [make_pod("a")], {"a": make_report()})

    later = observe(policy, CONFIG, [], seen, now="2027-01-01T00:00:00Z")

    times = {c["type"]: c["lastTransitionTime"] for c in later["conditions"]}
    assert times.pop("Ready") == "2027-01-01T00:00:00Z"
    assert set(times.values()) == {NOW}


@pytest.mark.parametrize(
    ("change", "is_different"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"issuer": {"lastSuccess": "2026-02-03T04:59:59Z"}}, False, id="within the hour"),
        pytest.param({"issuer": {"lastSuccess": "2026-02-03T05:00:00Z"}}, True, id="an hour later"),
        pytest.param({"issuer": {"jwksKeys": 3}}, True, id="keys"),
        pytest.param({"readyTargets": "1/2"}, True, id="counts"),
        pytest.param({"observedGeneration": 4}, True, id="generation"),
    ],
)
def test_only_what_people_should_see_is_worth_a_write(change: Object, is_different: bool) -> None:
    old = _healthy()
    new = merged(old, change)
    for condition in new["conditions"]:
        condition["lastTransitionTime"] = "2027-01-01T00:00:00Z"

    assert differs(old, new) is is_different


def test_changed_message_is_worth_a_write() -> None:
    new = _healthy()
    new["conditions"][0]["message"] = "other"

    assert differs(_healthy(), new)


def test_first_status_is_worth_a_write() -> None:
    assert differs({}, _healthy())


def test_input_is_never_changed() -> None:
    policy = merged(POLICY, {"status": _healthy()})
    before = merged(policy, {})

    observe(policy, CONFIG, [], Seen([make_workload()], [make_pod("a")], {"a": make_report()}), now="later")

    assert policy == before
