"""The status of a policy in mode Proxy: what the sidecars say of our client, its secret and the key ring."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from postern_crds.status import PolicyStatus
from postern_operator.policy.render import render
from postern_operator.status.conditions import Problem
from postern_operator.status.observe import Seen, observe
from tests.operator.pod.samples import make_policy
from tests.operator.status.scenes import NOW, make_pod, make_report, make_workload

Object = dict[str, Any]
CALLBACK = "https://mcp.example.com/oauth/callback"
PLACE = "Secret team-a/weather-login, key password"


def _policy(*, provider: Object | None = None, proxy: Object | None = None, **spec: Any) -> Object:
    client = {"id": "postern-1", "secretRef": {"name": "weather-login", "key": "password"}}
    return make_policy(
        mode="Proxy",
        provider={"keycloak": None, **provider} if provider else {},
        proxy={"client": client, **(proxy or {})},
        **spec,
    )


def _observe(policy: Object, issuers: Sequence[Object], problems: Sequence[Problem] = ()) -> Object:
    """Give the status when one pod for each view of the issuer reports it."""
    config = render(policy)
    uids = [str(number) for number in range(len(issuers))]
    reports = {
        uid: make_report(configHash=config.hash, issuer=issuer) for uid, issuer in zip(uids, issuers, strict=True)
    }
    pods = [make_pod(uid) for uid in uids]
    return observe(policy, config, problems, Seen([make_workload(desired=len(pods))], pods, reports), now=NOW)


def _condition(status: Object, kind: str) -> tuple[str, str, str]:
    found = next(condition for condition in status["conditions"] if condition["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_status_tells_the_callback_url_and_fits_the_schema() -> None:
    status = _observe(_policy(), [{"client": "ready"}])

    assert msgspec.convert(status, PolicyStatus).callback_url == CALLBACK
    accepted = _condition(status, "Accepted")
    assert accepted[0] == "True"
    assert f"client postern-1: {CALLBACK}" in accepted[2]
    assert "Secret postern-weather-keys" in _condition(status, "Programmed")[2]
    assert _condition(status, "Ready")[0] == "True"


def test_callback_url_of_the_last_valid_policy_stays_while_the_policy_has_faults() -> None:
    policy = _policy()
    policy["status"] = _observe(policy, [{"client": "ready"}])

    status = observe(policy, None, [Problem("Accepted", "Invalid", "wrong")], Seen([], [], {}), now=NOW)

    assert status["callbackURL"] == CALLBACK
    assert CALLBACK not in _condition(status, "Accepted")[2]


def test_missing_secret_is_told_with_its_place_and_what_to_do_at_the_provider() -> None:
    status = _observe(_policy(), [{"client": "ready"}, {"client": "secret_missing"}])

    verdict, reason, message = _condition(status, "ResolvedRefs")
    assert (verdict, reason) == ("False", "ClientSecretMissing")
    assert message.startswith("1 of 2 sidecars")
    assert PLACE in message
    assert "client postern-1" in message
    assert CALLBACK in message
    assert "keycloak" in message
    assert _condition(status, "Ready")[1] == "ClientSecretMissing"


def test_refused_secret_is_told_with_its_place_and_who_refused_it() -> None:
    verdict, reason, message = _condition(_observe(_policy(), [{"client": "secret_rejected"}]), "ResolvedRefs")

    assert (verdict, reason) == ("False", "ClientSecretRejected")
    assert PLACE in message
    assert "https://sso.example.com/realms/corp refuse client postern-1" in message
    assert CALLBACK in message


def test_missing_secret_is_told_before_a_refused_one() -> None:
    status = _observe(_policy(), [{"client": "secret_rejected"}, {"client": "secret_missing"}])

    assert _condition(status, "ResolvedRefs")[1] == "ClientSecretMissing"


def test_missing_keys_make_the_policy_not_programmed() -> None:
    status = _observe(_policy(), [{"client": "keys_missing"}])

    verdict, reason, message = _condition(status, "Programmed")
    assert (verdict, reason) == ("False", "KeysMissing")
    assert "Secret postern-weather-keys" in message
    assert _condition(status, "ResolvedRefs")[0] == "True"


@pytest.mark.parametrize("view", [{}, {"client": None}, {"client": "none"}, {"client": "of a later release"}])
def test_state_that_is_not_told_or_not_known_is_no_fault(view: Object) -> None:
    status = _observe(_policy(), [view])

    assert _condition(status, "ResolvedRefs")[0] == "True"
    assert _condition(status, "Programmed")[0] == "True"


def test_state_of_another_type_is_not_a_report_of_a_sidecar() -> None:
    status = _observe(_policy(), [{"client": ["secret_missing"]}])

    assert status["targets"]["unknown"] == 1


def test_problem_that_the_controller_saw_itself_is_told_first() -> None:
    seen = Problem("ResolvedRefs", "CABundleNotFound", "no such ConfigMap")
    status = _observe(_policy(), [{"client": "secret_missing"}], [seen])

    assert _condition(status, "ResolvedRefs")[1] == "CABundleNotFound"


def test_client_without_a_secret_misses_none() -> None:
    public = {"client": {"id": "postern-1", "authMethod": "none"}}

    assert _condition(_observe(_policy(proxy=public), [{"client": "secret_missing"}]), "ResolvedRefs")[0] == "True"


def test_provider_whose_keys_are_not_needed_is_usable_without_any() -> None:
    status = _observe(_policy(provider={"github": {}}), [{"client": "ready", "jwksKeys": 0, "pkce": False}])

    assert _condition(status, "IssuerReachable")[:2] == ("True", "Reachable")


def test_provider_whose_keys_are_not_needed_can_be_away_all_the_same() -> None:
    view = {"client": "ready", "jwksKeys": 0, "reachable": False, "lastError": "connection refused"}
    verdict, _, message = _condition(_observe(_policy(provider={"github": {}}), [view]), "IssuerReachable")

    assert verdict == "False"
    assert "connection refused" in message


def test_provider_of_id_tokens_is_not_usable_without_keys() -> None:
    status = _observe(_policy(provider={"google": {}}), [{"client": "ready", "jwksKeys": 0}])

    assert _condition(status, "IssuerReachable")[0] == "False"


def test_clients_of_mode_proxy_do_not_care_what_the_provider_lets_them_register() -> None:
    view = {"client": "ready", "registration": False, "metadataDocuments": False, "pkce": False}
    verdict, _, message = _condition(_observe(_policy(), [view]), "IssuerReachable")

    assert verdict == "True"
    assert "register" not in message
    assert "PKCE" not in message


def test_sealed_tokens_are_for_this_resource_whatever_the_provider_names() -> None:
    status = _observe(_policy(verification={"audience": "IssuerOnly"}), [{"client": "ready"}])

    assert _condition(status, "AudienceUnchecked")[0] == "False"


def test_passed_through_tokens_are_judged_as_in_mode_direct() -> None:
    policy = _policy(proxy={"tokenMode": "Passthrough"}, verification={"audience": "IssuerOnly"})

    assert _condition(_observe(policy, [{"client": "ready"}]), "AudienceUnchecked")[:2] == ("True", "IssuerOnly")


@pytest.mark.parametrize(
    ("verification", "verdict", "says"),
    [
        ({}, ("False", "AudienceChecked"), "client_id of every token must be postern-1. "),
        ({"audiences": ["env"]}, ("False", "AudienceChecked"), "name one of: env and client_id of every token must be"),
        ({"audience": "IssuerOnly"}, ("True", "IssuerOnly"), "every token of https://acme.authkit.app is accepted"),
        ({"kind": "Userinfo", "audience": "IssuerOnly"}, ("True", "IssuerOnly"), "every token"),
    ],
)
def test_passed_through_tokens_that_name_our_client_are_checked(
    verification: Object, verdict: tuple[str, str], says: str
) -> None:
    workos = {"workos": {"domain": "acme.authkit.app"}}
    policy = _policy(provider=workos, proxy={"tokenMode": "Passthrough"}, verification=verification)

    *found, message = _condition(_observe(policy, [{"client": "ready"}]), "AudienceUnchecked")
    assert tuple(found) == verdict
    assert says in message
