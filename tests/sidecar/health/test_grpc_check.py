"""The gRPC health check against a server that speaks HTTP/2 frames."""

import asyncio

import pytest

from postern_sidecar.health.grpc_check import check, is_serving, request_bytes
from tests.support.upstream import Connection, serve

SERVING = b"\x00\x00\x00\x00\x02\x08\x01"
NOT_SERVING = b"\x00\x00\x00\x00\x02\x08\x02"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


HEADERS = frame(1, 4, b"\x88")


async def ask(answer: bytes, *, expected_reply: bytes = b"") -> bool:
    async def script(connection: Connection) -> None:
        await connection.exactly(len(request_bytes(f"127.0.0.1:{server.port}", "mcp")))
        await connection.send(answer)
        if expected_reply:
            assert await connection.exactly(len(expected_reply)) == expected_reply
            await connection.send(frame(0, 1, SERVING))

    async with serve(script) as server, asyncio.timeout(3):
        return await check("127.0.0.1", server.port, "mcp")


async def test_serving_is_healthy() -> None:
    assert await ask(SETTINGS + HEADERS + frame(0, 0, SERVING) + frame(1, 5, b"\x88"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HEADERS + frame(0, 0, NOT_SERVING), id="not serving"),
        pytest.param(HEADERS + frame(0, 1, b"\x00\x00\x00\x00\x00"), id="unknown"),
        pytest.param(frame(1, 5, b"\x88"), id="only trailers"),
        pytest.param(frame(3, 0, b"\x00\x00\x00\x07"), id="stream reset"),
        pytest.param(frame(7, 0, b"\x00" * 8, stream=0), id="going away"),
        pytest.param(frame(0, 0, b"\x01" + SERVING[1:]), id="compressed"),
        pytest.param(frame(0, 0, b"\x00\x7f\xff\xff\xff"), id="huge message"),
        pytest.param(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", id="huge frame"),
        pytest.param(frame(0, 0, SERVING, stream=3) + frame(1, 5, b"\x88"), id="other stream"),
    ],
)
async def test_everything_else_is_not(answer: bytes) -> None:
    assert not await ask(SETTINGS + answer)


async def test_server_that_hangs_up_is_an_error() -> None:
    with pytest.raises((EOFError, OSError)):
        await ask(SETTINGS)


async def test_settings_and_pings_are_acknowledged() -> None:
    acknowledged = frame(4, 1, b"", stream=0) + frame(6, 1, b"12345678", stream=0)
    assert await ask(SETTINGS + PING + HEADERS, expected_reply=acknowledged)


async def test_message_in_pieces_and_padding_is_read() -> None:
    padded = frame(0, 8, b"\x03" + SERVING[:4] + b"\x00\x00\x00")
    assert await ask(SETTINGS + HEADERS + padded + frame(0, 0, SERVING[4:]))


def test_request_is_a_preface_settings_headers_and_one_message() -> None:
    data = request_bytes("localhost:8000", "mcp")
    assert data.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
    assert b"/grpc.health.v1.Health/Check" in data
    assert data.endswith(frame(0, 1, b"\x00\x00\x00\x00\x05\x0a\x03mcp"))
    assert request_bytes("a", "").endswith(frame(0, 1, b"\x00\x00\x00\x00\x00"))


@pytest.mark.parametrize(
    ("message", "serving"),
    [
        (b"\x08\x01", True),
        (b"\x12\x02hi\x08\x01", True),
        (b"\x08\x81\x00", True),
        (b"", False),
        (b"\x08\x00", False),
        (b"\x08", False),
        (b"\x08" + b"\xff" * 12, False),
        (b"\x0b", False),
    ],
)
def test_field_one_decides(message: bytes, serving: bool) -> None:
    assert is_serving(message) is serving
