"""What browser clients get (SPEC 84)."""

import pytest

from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import Door, values

ORIGIN = "http://localhost:6274"
ASK = ("access-control-request-method", "POST")


def cors_of(door_values: list[str]) -> set[str]:
    return {name.strip().lower() for value in door_values for name in value.split(",")}


async def test_preflight_is_answered_without_a_token(door: Door) -> None:
    wanted = ("access-control-request-headers", "authorization,mcp-param-city,X-Custom")
    answer = await door.answer("OPTIONS", "/mcp", ("origin", ORIGIN), ASK, wanted)
    assert (answer.status, answer.body) == (204, b"")
    assert values(answer, "access-control-allow-origin") == [ORIGIN]
    assert cors_of(values(answer, "access-control-allow-methods")) >= {"get", "post", "delete"}
    allowed = cors_of(values(answer, "access-control-allow-headers"))
    assert allowed >= {"authorization", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name"}
    assert allowed >= {"mcp-session-id", "last-event-id", "mcp-param-city", "x-custom"}
    assert values(answer, "content-length") == []


@pytest.mark.parametrize("wish", ["a b", "x\r\nset-cookie: a", "ü", "x" * 65, ",".join(["x"] * 65)])
async def test_odd_wish_of_a_preflight_is_not_repeated(door: Door, wish: str) -> None:
    answer = await door.answer("OPTIONS", "/mcp", ("origin", ORIGIN), ASK, ("access-control-request-headers", wish))
    assert answer.status == 204
    assert cors_of(values(answer, "access-control-allow-headers")) == {
        "authorization",
        "content-type",
        "accept",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
    }


async def test_preflight_of_a_foreign_origin_is_refused(door: Door) -> None:
    answer = await door.answer("OPTIONS", "/mcp", ("origin", "https://evil.example"), ASK)
    assert answer.status == 403
    assert values(answer, "access-control-allow-origin") == []


async def test_plain_options_needs_a_token(door: Door) -> None:
    assert (await door.answer("OPTIONS", "/mcp", ("origin", ORIGIN))).status == 401


@pytest.mark.parametrize("case", ["401", "403", "503", "400", "405", "forward", "public"])
async def test_allowed_origin_can_read_every_response(make_door: MakeDoor, case: str) -> None:
    door = make_door(
        server={"public_paths": ("/health",)},
        verification={"required_scopes": ("x",), "supported_scopes": ("x",)},
        issuer={"private_ca": case == "503"},
    )
    requests = {
        "401": ("POST", "/mcp", []),
        "403": ("POST", "/mcp", [door.bearer()]),
        "503": ("POST", "/mcp", [door.bearer()]),
        "400": ("POST", "/mcp", [("authorization", "Bearer")]),
        "405": ("TRACE", "/mcp", []),
        "forward": ("POST", "/mcp", [door.bearer(scope="x")]),
        "public": ("GET", "/health", []),
    }
    method, path, headers = requests[case]
    decision = await door.ask(method, path, ("origin", ORIGIN), *headers)
    assert values(decision, "access-control-allow-origin") == [ORIGIN]
    assert values(decision, "vary") == ["Origin"]
    exposed = cors_of(values(decision, "access-control-expose-headers"))
    assert exposed == {"www-authenticate", "mcp-session-id", "mcp-protocol-version"}
    assert values(decision, "access-control-allow-credentials") == []


async def test_without_origin_there_are_no_cors_headers(door: Door) -> None:
    assert values(await door.answer("POST", "/mcp"), "access-control-allow-origin") == []
