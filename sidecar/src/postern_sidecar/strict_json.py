"""JSON that decisions are made on: this module is the reader that refuses what can be understood in two ways."""

import json
import math
from typing import Any

__all__ = ["read_object"]


def read_object(data: bytes) -> dict[str, Any]:
    """Read one JSON object in UTF-8.

    Raises ValueError for anything else, and for duplicate members at any depth (RFC 8259 section 4 leaves their meaning
    open), NaN, Infinity, numbers beyond a float, lone surrogates, and nesting too deep to read.
    """
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:
            # An escaped lone surrogate is no character: it could be neither sent nor logged.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for one kind of fault: bad input
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number
