"""What the facade is asked and what it answers: this module is both, with the answers' fixed headers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from postern_sidecar.facade.faults import OAuthFault

__all__ = ["FacadeAnswer", "FacadeRequest", "Headers", "json_answer", "json_fault", "read_form", "read_parameters"]

Headers = tuple[tuple[bytes, bytes], ...]

_MAX_PARAMETERS = 64
_FORM = b"application/x-www-form-urlencoded"
NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
"""RFC 6749 section 5.1."""
CORS: Headers = ((b"access-control-allow-origin", b"*"),)
"""For the endpoints that scripts call: token, registration, revocation. No cookie counts there."""


@dataclass(frozen=True, slots=True)
class FacadeRequest:
    """One request to an endpoint of ours; the body is complete and within the limit."""

    method: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes
    request_id: str
    """Shown on pages, so that users can quote it."""
    now: float
    """Epoch seconds."""

    def values(self, name: bytes) -> list[bytes]:
        """Give the values of all headers of this lower-case name."""
        return [value.strip(b" \t") for key, value in self.headers if key == name]

    def content_type(self) -> bytes:
        """Give the media type in lower case without parameters; empty when not stated, or stated twice."""
        values = self.values(b"content-type")
        return values[0].partition(b";")[0].strip().lower() if len(values) == 1 else b""


@dataclass(frozen=True, slots=True)
class FacadeAnswer:
    """What is sent."""

    status: int
    headers: Headers
    """Names in lower case; without Content-Length, which the sender adds."""
    body: bytes = b""
    event: str = "served"
    """What happened, for audit and metrics: a lower-case name of a closed set, mostly an OAuth error code."""
    client_id: str = ""
    """For the audit line: the client as far as it is known, never a secret; sealed ids are shortened by the writer."""
    subject: str = ""
    """For the audit line."""


def read_parameters(text: bytes) -> dict[str, str]:
    """Read query or form parameters. Those without a value count as absent (RFC 6749 section 3.1).

    Raises OAuthFault invalid_request: not UTF-8, too many, or one that is given twice (RFC 6749 section 3.1), of
    which RFC 8707 section 2 excepts ``resource`` when both values are equal.
    """
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise OAuthFault("invalid_request", "The parameters cannot be read.") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and not (name == "resource" and found[name] == value):
            raise OAuthFault("invalid_request", "A parameter is given twice.")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def read_form(request: FacadeRequest) -> dict[str, str]:
    """Read the body of a POST. Raises OAuthFault invalid_request when it is no form."""
    if request.content_type() != _FORM:
        raise OAuthFault("invalid_request", "The body must be application/x-www-form-urlencoded.")
    return read_parameters(request.body)


def json_answer(
    status: int, document: Mapping[str, object], *, event: str = "served", headers: Headers = ()
) -> FacadeAnswer:
    """Give a JSON answer that nobody may store."""
    fixed: Headers = ((b"content-type", b"application/json"), *NO_STORE, *CORS)
    return FacadeAnswer(status, (*fixed, *headers), json.dumps(document).encode(), event)


def json_fault(fault: OAuthFault) -> FacadeAnswer:
    """Give the answer for a fault at an endpoint that programs call (RFC 6749 section 5.2, RFC 7591 section 3.2.2)."""
    headers: list[tuple[bytes, bytes]] = []
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", str(fault.retry_after_s).encode()))
    if fault.challenges_basic:
        headers.append((b"www-authenticate", b'Basic realm="postern"'))
    document = {"error": fault.error, "error_description": fault.description}
    return json_answer(fault.status, document, event=fault.error, headers=tuple(headers))
