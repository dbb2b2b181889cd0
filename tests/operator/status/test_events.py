"""The Events that a change of status is worth, and those that it is not."""

from typing import Any

import pytest

from postern_operator.status.events import Event, transitions

Object = dict[str, Any]


def _status(kind: str, value: str, reason: str, *workloads: tuple[str, str]) -> Object:
    condition = {"type": kind, "status": value, "reason": reason, "message": "m", "lastTransitionTime": "t"}
    return {"conditions": [condition], "workloads": [{"kind": k, "name": n} for k, n in workloads]}


@pytest.mark.parametrize(
    ("kind", "value", "reason", "event"),
    [
        ("Accepted", "False", "Invalid", ("Warning", "Invalid")),
        ("Accepted", "True", "Accepted", ("Normal", "PolicyAccepted")),
        ("ResolvedRefs", "False", "CABundleNotFound", ("Warning", "CABundleNotFound")),
        ("Programmed", "False", "ConfigMapRefused", ("Warning", "ConfigMapRefused")),
        ("Enforced", "False", "UnprotectedPods", ("Warning", "UnprotectedPods")),
        ("Enforced", "False", "SidecarsDegraded", ("Warning", "SidecarsDegraded")),
        ("Enforced", "True", "Enforced", ("Normal", "Enforced")),
        ("IssuerReachable", "False", "IssuerUnreachable", ("Warning", "IssuerUnreachable")),
        ("AudienceUnchecked", "True", "IssuerOnly", ("Warning", "AudienceUnchecked")),
    ],
)
def test_new_condition_is_told_once(kind: str, value: str, reason: str, event: tuple[str, str]) -> None:
    new = _status(kind, value, reason)

    assert [(e.type, e.reason, e.message) for e in transitions({}, new)] == [(*event, "m")]
    assert transitions(new, new) == []


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("ResolvedRefs", "True", "ResolvedRefs"),
        ("Programmed", "True", "Programmed"),
        ("Enforced", "False", "RollingOut"),
        ("Enforced", "False", "Updating"),
        ("Enforced", "Unknown", "NoTargets"),
        ("IssuerReachable", "True", "Reachable"),
        ("IssuerReachable", "Unknown", "NoReports"),
        ("AudienceUnchecked", "False", "AudienceChecked"),
        ("Ready", "False", "NoTargets"),
        ("Ready", "True", "Ready"),
    ],
)
def test_ordinary_state_of_a_new_policy_is_no_event(kind: str, value: str, reason: str) -> None:
    assert transitions({}, _status(kind, value, reason)) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("IssuerReachable", "Reachable"), ("ResolvedRefs", "ResolvedRefs"), ("Programmed", "Programmed")],
)
def test_recovery_is_told(kind: str, reason: str) -> None:
    assert transitions(_status(kind, "False", "Broken"), _status(kind, "True", reason)) == [
        Event("Normal", reason, "m")
    ]


def test_change_of_the_message_alone_is_no_event() -> None:
    old, new = _status("Accepted", "False", "Invalid"), _status("Accepted", "False", "Invalid")
    new["conditions"][0]["message"] = "other"

    assert transitions(old, new) == []


def test_another_reason_is_told() -> None:
    old, new = _status("AudienceUnchecked", "True", "IssuerOnly"), _status("AudienceUnchecked", "True", "Other")

    assert len(transitions(old, new)) == 1


def test_workload_that_left_is_told_as_unprotected() -> None:
    old = _status("Ready", "True", "Ready", ("Deployment", "a"), ("StatefulSet", "b"))
    new = _status("Ready", "True", "Ready", ("StatefulSet", "b"))

    (event,) = transitions(old, new)

    assert (event.type, event.reason) == ("Warning", "Unprotected")
    assert "Deployment a" in event.message


def test_bare_pod_that_ended_is_no_event() -> None:
    assert transitions(_status("Ready", "True", "Ready", ("Pod", "job-1")), _status("Ready", "True", "Ready")) == []


def test_workload_that_fell_off_a_full_list_is_no_event() -> None:
    hundred = [("Deployment", f"w{i:03}") for i in range(1, 101)]
    old = _status("Ready", "True", "Ready", *hundred)
    new = _status("Ready", "True", "Ready", ("Deployment", "w000"), *hundred[:-1])

    assert transitions(old, new) == []
