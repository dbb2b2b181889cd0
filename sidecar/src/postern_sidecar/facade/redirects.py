"""How browsers are sent on: this module is the redirects to the client and to the identity provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import NO_STORE, FacadeAnswer, FacadeRequest

__all__ = ["ReturnAddress", "redirect", "to_client", "with_parameters"]


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where a client waits for the outcome; made only of a redirect URI that is the client's."""

    redirect_uri: str
    state: str | None
    """None: the client sent none, and gets none."""
    issuer: str
    """Ours, for iss (RFC 9207)."""


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Give the URL with parameters added; a query of its own stays byte for byte (RFC 6749 section 3.1.2)."""
    separator = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{separator}{urlencode(parameters, quote_via=quote, safe='')}"


def redirect(request: FacadeRequest, location: str, event: str) -> FacadeAnswer:
    """Give a redirect that makes a GET, whatever the request was. The location is ASCII."""
    headers = (
        (b"location", location.encode("ascii")),
        *NO_STORE,
        # What is in our URLs and on our pages is for nobody behind the redirect.
        (b"referrer-policy", b"no-referrer"),
    )
    return FacadeAnswer(303 if request.method == "POST" else 302, headers, event=event)


def to_client(
    request: FacadeRequest, address: ReturnAddress, outcome: Mapping[str, str] | OAuthFault, *, event: str = ""
) -> FacadeAnswer:
    """Give the authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1), always with iss (RFC 9207 section 2).

    event: of a fault it is the error code.
    """
    if isinstance(outcome, OAuthFault):
        event = outcome.error
        outcome = {"error": outcome.error, "error_description": outcome.description}
    state = {} if address.state is None else {"state": address.state}
    location = with_parameters(address.redirect_uri, {**outcome, **state, "iss": address.issuer})
    return redirect(request, location, event)
