"""The parser of answers: any cut of the same bytes gives the same answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.forward.faults import Fault, UpstreamFailed
from postern_sidecar.forward.response import ResponseReader

SAMPLES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\n\r\nhello", 200, b"hello"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
        200,
        b"hello",
    ),
    "interim": (b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", 404, b"no"),
    "empty": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
}


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(sample=st.sampled_from(sorted(SAMPLES)), places=st.lists(st.integers(0, 400), max_size=8))
def test_every_cut_of_an_answer_reads_the_same(sample: str, places: list[int]) -> None:
    data, status, body = SAMPLES[sample]
    reader = ResponseReader(b"POST")
    received = b"".join(piece for part in cut(data, places) if part for piece in reader.feed(part))
    assert reader.head is not None
    assert (reader.head.status, received) == (status, body)
    assert reader.complete
    assert reader.reusable
    assert all(name == name.lower() and name != b"link" for name, _ in reader.head.headers)


@given(sample=st.sampled_from(sorted(SAMPLES)), size=st.integers(0, 400), more=st.binary(min_size=1, max_size=40))
def test_surplus_bytes_spoil_the_connection_and_never_the_answer(sample: str, size: int, more: bytes) -> None:
    data, status, body = SAMPLES[sample]
    reader = ResponseReader(b"POST")
    place = size % len(data)
    received = b"".join([*reader.feed(data[:place]), *reader.feed(data[place:] + b"H" + more)])
    assert reader.head is not None
    assert (reader.head.status, received, reader.complete) == (status, body, True)
    assert not reader.reusable


@given(sample=st.sampled_from(sorted(SAMPLES)), place=st.integers(0, 400))
def test_answer_cut_short_is_a_failure(sample: str, place: int) -> None:
    data = SAMPLES[sample][0]
    reader = ResponseReader(b"POST")
    reader.feed(data[: place % len(data)])
    with pytest.raises(UpstreamFailed) as failure:
        reader.end(clean=True)
    assert failure.value.fault is (Fault.CLOSED if reader.head is None else Fault.TRUNCATED)


def test_body_without_framing_ends_with_a_clean_end_only() -> None:
    for clean in (True, False):
        reader = ResponseReader(b"GET")
        assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhello") == [b"hello"]
        assert not reader.complete
        if clean:
            reader.end(clean=True)
            assert reader.complete
            assert not reader.reusable
        else:
            with pytest.raises(UpstreamFailed, match=Fault.TRUNCATED):
                reader.end(clean=False)


def test_connection_of_an_old_or_closing_server_is_not_reused() -> None:
    for data in (b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"):
        reader = ResponseReader(b"GET")
        reader.feed(data + b"Content-Length: 0\r\n\r\n")
        assert reader.complete
        assert not reader.reusable


def test_many_interim_answers_do_not_evade_the_bound_on_heads() -> None:
    reader = ResponseReader(b"GET")
    hints = b"HTTP/1.1 103 Hints\r\nlink: " + b"a" * 8000 + b"\r\n\r\n"
    for _ in range(8):
        reader.feed(hints)
    with pytest.raises(UpstreamFailed, match=Fault.HEAD_TOO_LARGE):
        reader.feed(hints)
