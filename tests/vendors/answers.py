"""What clients are told, for tests of any vendor."""

from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.vendors.grants import AuthorizationServer

__all__ = ["outcome", "refused", "unavailable"]


def refused(answer: httpx.Response, status: int, error: str, vendor: AuthorizationServer) -> None:
    """An answer of the token endpoint that says no, and nothing of what the vendor said."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert "www-authenticate" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert vendor.said
    assert not [text for text in vendor.said if text in answer.text]


def outcome(location: str) -> dict[str, str]:
    """The parameters of a redirect to the client."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def unavailable(answer: httpx.Response) -> None:
    """An answer after which a client comes back with the same."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"] == "temporarily_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert "www-authenticate" not in answer.headers
    assert "oops" not in answer.text
    assert "<" not in answer.text
