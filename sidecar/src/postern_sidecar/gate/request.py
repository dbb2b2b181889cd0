"""What a decision is made from: this module is the head of a request, as it was on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RequestHead"]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body."""

    method: str
    raw_path: bytes
    """Path as on the wire: percent-encoded, without the query."""
    query: bytes
    """What follows '?', empty when there is none."""
    headers: Sequence[tuple[bytes, bytes]]
    """In the order of the wire; names in lower case."""
    peer: str
    """Address of the sender, empty when unknown."""

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of all headers of this lower-case name, surrounding whitespace removed (RFC 9110 5.5)."""
        return [value.strip(b" \t") for key, value in self.headers if key == name]
