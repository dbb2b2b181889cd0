"""A gRPC health check without a gRPC library: this module speaks just enough HTTP/2 for grpc.health.v1.Health/Check.

Frames by RFC 9113, header block by RFC 7541 with literals only; answers' headers are not even decoded, for the status
is in the message (field 1 of HealthCheckResponse, 1 means SERVING).
"""

import asyncio
from collections.abc import Iterator
from enum import IntEnum

__all__ = ["check", "is_serving", "request_bytes"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PATH = b"/grpc.health.v1.Health/Check"
_END_STREAM = 0x1
_END_HEADERS = 0x4
_ACK = 0x1
_PADDED = 0x8
_MAX_FRAME_BYTES = 16384
"""Nobody may send more, since no larger SETTINGS_MAX_FRAME_SIZE is announced (RFC 9113 section 4.2)."""
_MAX_MESSAGE_BYTES = 1024
_SERVING = 1


class _Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7


async def check(host: str, port: int, service: str) -> bool:
    """Ask a server for the health of a service, '' for itself. Raises OSError, and EOFError when it hangs up.

    The caller sets the timeout.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request_bytes(f"{host}:{port}", service))
        return is_serving(await _first_message(reader, writer))
    finally:
        writer.transport.abort()


def request_bytes(authority: str, service: str) -> bytes:
    """Give everything a client sends: preface, settings, headers, message."""
    block = b"".join(
        (
            b"\x83",  # :method POST, static table 3
            b"\x86",  # :scheme http, static table 6
            b"\x04" + _string(_PATH),  # :path, name from static table 4
            b"\x01" + _string(authority.encode()),  # :authority, name from static table 1
            b"\x00" + _string(b"content-type") + _string(b"application/grpc"),
            b"\x00" + _string(b"te") + _string(b"trailers"),
        )
    )
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    data = b"\x00" + len(message).to_bytes(4, "big") + message
    return (
        _PREFACE
        + _frame(_Kind.SETTINGS, 0, b"", stream=0)
        + _frame(_Kind.HEADERS, _END_HEADERS, block, stream=1)
        + _frame(_Kind.DATA, _END_STREAM, data, stream=1)
    )


def is_serving(message: bytes) -> bool:
    """Read HealthCheckResponse: whether field 1 is SERVING. Anything malformed is not."""
    try:
        return dict(_fields(message)).get(1) == _SERVING
    except (IndexError, ValueError):
        return False


async def _first_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read frames until the first message on stream 1 is whole; empty when there is none."""
    received = b""
    while True:
        head = await reader.readexactly(9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        if size > _MAX_FRAME_BYTES:
            return b""
        payload = await reader.readexactly(size)
        if kind == _Kind.SETTINGS and not flags & _ACK:
            writer.write(_frame(_Kind.SETTINGS, _ACK, b"", stream=0))
        elif kind == _Kind.PING and not flags & _ACK:
            writer.write(_frame(_Kind.PING, _ACK, payload, stream=0))
        elif kind == _Kind.GOAWAY or (kind == _Kind.RST_STREAM and stream == 1):
            return b""
        elif kind == _Kind.DATA and stream == 1:
            received += payload[1 : len(payload) - payload[0]] if flags & _PADDED and payload else payload
            message = _message(received)
            if message is not None:
                return message
        if stream == 1 and kind in (_Kind.DATA, _Kind.HEADERS) and flags & _END_STREAM:
            return b""


def _message(received: bytes) -> bytes | None:
    """Take the length-prefixed message; None: more must come; empty: compressed or too long."""
    if len(received) < 5:
        return None
    size = int.from_bytes(received[1:5], "big")
    if received[0] != 0 or size > _MAX_MESSAGE_BYTES:
        return b""
    return received[5 : 5 + size] if len(received) >= 5 + size else None


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """Varint fields of a protocol buffer; others are skipped. Raises IndexError or ValueError when malformed."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
                yield key >> 3, value
            case 1:
                at += 8
            case 2:
                size, at = _read_varint(message, at)
                at += size
            case 5:
                at += 4
            case _:
                raise ValueError("unknown wire type")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint is too long")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(value: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    if len(value) < 127:
        return bytes((len(value),)) + value
    return b"\x7f" + _varint(len(value) - 127) + value


def _frame(kind: _Kind, flags: int, payload: bytes, *, stream: int) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
