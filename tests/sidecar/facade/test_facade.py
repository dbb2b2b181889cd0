"""The one door to the facade: every endpoint is reached, and nothing that goes wrong inside gets out."""

import json
from typing import Any

import pytest

from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.facade import Facade, FacadeEndpoint, answer_fault
from postern_sidecar.facade.faults import OAuthFault
from tests.sidecar.facade.building import body_of, header_of, make_context, make_request
from tests.support.logs import capture_logs

PROGRAMS = (FacadeEndpoint.TOKEN, FacadeEndpoint.REGISTER, FacadeEndpoint.REVOKE)
BROWSER = (FacadeEndpoint.AUTHORIZE, FacadeEndpoint.CONSENT, FacadeEndpoint.CALLBACK)


class BrokenClients:
    """Fails in a way that nobody thought of."""

    async def find(self, client_id: str, now: float) -> Client:
        raise RuntimeError(f"secret detail about {client_id}")


def broken_facade() -> Facade:
    context = make_context()
    object.__setattr__(context, "clients", BrokenClients())
    return Facade(context)


@pytest.mark.parametrize("endpoint", PROGRAMS)
async def test_scripts_of_any_page_may_ask_by_a_preflight(endpoint: FacadeEndpoint) -> None:
    request = make_request(
        "OPTIONS", headers={"origin": "https://any.example", "access-control-request-method": "POST"}
    )
    answer = await Facade(make_context()).answer(endpoint, request)
    assert (answer.status, answer.body, answer.event) == (204, b"", "preflight")
    assert header_of(answer, "access-control-allow-origin") == "*"
    assert header_of(answer, "access-control-allow-methods") == "POST, OPTIONS"
    assert "authorization" in (header_of(answer, "access-control-allow-headers") or "")
    assert header_of(answer, "access-control-allow-credentials") is None


@pytest.mark.parametrize("endpoint", BROWSER)
async def test_no_script_of_another_page_reads_what_browsers_see(endpoint: FacadeEndpoint) -> None:
    for method in ("OPTIONS", "GET", "POST"):
        answer = await Facade(make_context()).answer(endpoint, make_request(method))
        assert answer.status >= 400
        assert header_of(answer, "access-control-allow-origin") is None


@pytest.mark.parametrize("endpoint", PROGRAMS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "TRACE", "HEAD"])
async def test_other_methods_are_refused_with_those_that_are_allowed(endpoint: FacadeEndpoint, method: str) -> None:
    answer = await Facade(make_context()).answer(endpoint, make_request(method))
    assert (answer.status, answer.event) == (405, "method_not_allowed")
    assert header_of(answer, "allow") == "POST, OPTIONS"


@pytest.mark.parametrize("endpoint", [FacadeEndpoint.TOKEN, FacadeEndpoint.REVOKE])
async def test_fault_of_ours_is_an_answer_that_tells_nothing(endpoint: FacadeEndpoint) -> None:
    form = {"client_id": "c", "grant_type": "authorization_code", "token": "t"}
    with capture_logs() as lines:
        answer = await broken_facade().answer(endpoint, make_request("POST", form=form))
    assert (answer.status, body_of(answer)["error"]) == (500, "server_error")
    assert b"secret" not in answer.body
    assert [line["event"] for line in lines] == ["endpoint failed"]


async def test_fault_of_ours_is_a_page_where_people_look() -> None:
    with capture_logs():
        answer = await broken_facade().answer(FacadeEndpoint.AUTHORIZE, make_request(query={"client_id": "c"}))
    assert (answer.status, answer.event) == (500, "server_error")
    assert b"request-1" in answer.body
    assert b"secret" not in answer.body
    assert header_of(answer, "location") is None


@pytest.mark.parametrize("endpoint", FacadeEndpoint)
def test_fault_has_the_form_that_its_reader_expects(endpoint: FacadeEndpoint) -> None:
    answer = answer_fault(endpoint, OAuthFault("temporarily_unavailable", "Not <now>."), "request-1")
    assert (answer.status, answer.event) == (503, "temporarily_unavailable")
    assert header_of(answer, "retry-after") == "5"
    assert header_of(answer, "cache-control") == "no-store"
    if endpoint in PROGRAMS:
        assert json.loads(answer.body) == {"error": "temporarily_unavailable", "error_description": "Not <now>."}
    else:
        assert b"<now>" not in answer.body
        assert b"request-1" in answer.body


async def test_unavailable_document_of_a_client_is_not_an_unknown_client() -> None:
    async def fetch(url: str) -> Any:
        raise OAuthFault("temporarily_unavailable", "Later.", detail=url)

    facade = Facade(make_context(documents=Documents(fetch)))
    form = {"client_id": "https://client.example/metadata.json", "grant_type": "authorization_code"}
    with capture_logs():
        answer = await facade.answer(FacadeEndpoint.TOKEN, make_request("POST", form=form))
    assert (answer.status, body_of(answer)["error"]) == (503, "temporarily_unavailable")
