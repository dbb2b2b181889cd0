from postern_sidecar.gate.audit import record
from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import Door, head
from tests.support.logs import capture_logs


async def test_forwarded_request_is_recorded_with_its_principal(door: Door) -> None:
    asked = head("POST", "/mcp", door.bearer())
    decision = await door.decide(asked)
    with capture_logs() as lines:
        record(asked, decision, request_id="r-1", latency_s=0.00012345, enabled=True)
    assert lines == [
        {
            "event": "decision",
            "log_level": "info",
            "outcome": "forwarded",
            "reason": None,
            "status": None,
            "issuer": door.fake.issuer,
            "subject": "alice",
            "client": "client-1",
            "method": "POST",
            "path": "/mcp",
            "peer": "192.0.2.1",
            "request_id": "r-1",
            "latency_s": 0.000123,
        }
    ]


async def test_refusal_for_scope_is_recorded_with_who_asked(make_door: MakeDoor) -> None:
    door = make_door(verification={"required_scopes": ("x",)})
    asked = head("POST", "/mcp", door.bearer())
    with capture_logs() as lines:
        record(asked, await door.decide(asked), request_id="", latency_s=0.0, enabled=True)
    assert [(line["outcome"], line["status"], line["subject"]) for line in lines] == [("insufficient", 403, "alice")]


async def test_record_never_holds_a_token_or_a_query(door: Door) -> None:
    token = door.token()
    asked = head("POST", b"/a\x0ab", ("authorization", f"Bearer {token}"))
    with capture_logs() as lines:
        record(asked, await door.decide(asked), request_id="r", latency_s=0.0, enabled=True)
    assert token not in str(lines)
    assert lines[0]["reason"] == "ambiguous_path"


async def test_endless_path_is_cut_in_the_record(door: Door) -> None:
    asked = head("GET", b"/" + b"\xff" * 60_000)
    with capture_logs() as lines:
        record(asked, await door.decide(asked), request_id="r", latency_s=0.0, enabled=True)
    assert len(str(lines)) < 5_000


async def test_nothing_is_recorded_when_it_is_off(door: Door) -> None:
    asked = head("POST", "/mcp")
    with capture_logs() as lines:
        record(asked, await door.decide(asked), request_id="r", latency_s=0.0, enabled=False)
    assert lines == []
