import pytest

from postern_sidecar.strict_json import read_object


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[1]", id="array"),
        pytest.param(b"{} {}", id="two-objects"),
        pytest.param(b'{"a":1,"a":1}', id="duplicate"),
        pytest.param(b'{"x":[{"a":{"b":1,"b":2}}]}', id="duplicate-inside"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b'{"a":1e400}', id="beyond-a-float"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="endless-integer"),
        pytest.param(b'{"a":"\\ud800"}', id="lone-surrogate"),
        pytest.param(b'{"\\udfff":1}', id="lone-surrogate-in-a-name"),
        pytest.param(b'{"a":"\xff"}', id="not-utf-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(b'{"a":' * 100_000, id="deep"),
    ],
)
def test_text_with_two_readings_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(data)


def test_plain_object_is_read() -> None:
    data = b' {"a": [1, 2.5, "\\ud83d\\ude00", null, true]} '
    assert read_object(data) == {"a": [1, 2.5, "\U0001f600", None, True]}
