"""Which endpoint answers: this module is the one door to the facade, which never raises."""

from collections.abc import Awaitable, Callable, Mapping

from postern_sidecar.facade.authorize import authorize
from postern_sidecar.facade.callback import callback
from postern_sidecar.facade.consent import consent
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.fault_log import log_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import CORS, FacadeAnswer, FacadeRequest, json_fault
from postern_sidecar.facade.pages import PageFault, fault_page
from postern_sidecar.facade.register import register
from postern_sidecar.facade.revoke import revoke
from postern_sidecar.facade.token_endpoint import token
from postern_sidecar.facade_endpoints import FacadeEndpoint
from postern_sidecar.logs import get_logger

__all__ = ["Facade", "FacadeEndpoint", "answer_fault"]

_BROWSER = frozenset((FacadeEndpoint.AUTHORIZE, FacadeEndpoint.CONSENT, FacadeEndpoint.CALLBACK))
"""Where people look at the answer; the other endpoints are called by programs, also by scripts of any page."""
_TITLES: Mapping[str, str] = {
    "temporarily_unavailable": "Logins are not possible at present",
    "server_error": "Something went wrong here",
}
_OTHER_TITLE = "This cannot be done"

Answering = Callable[[FacadeRequest, Context], Awaitable[FacadeAnswer]]
_ENDPOINTS: Mapping[FacadeEndpoint, Answering] = {
    FacadeEndpoint.AUTHORIZE: authorize,
    FacadeEndpoint.CONSENT: consent,
    FacadeEndpoint.CALLBACK: callback,
    FacadeEndpoint.TOKEN: token,
    FacadeEndpoint.REGISTER: register,
    FacadeEndpoint.REVOKE: revoke,
}
_PREFLIGHT = FacadeAnswer(
    204,
    (
        *CORS,
        (b"allow", b"POST, OPTIONS"),
        (b"access-control-allow-methods", b"POST, OPTIONS"),
        # What clients send here; '*' would not cover Authorization.
        (b"access-control-allow-headers", b"authorization, content-type, accept, mcp-protocol-version"),
        (b"access-control-max-age", b"600"),
    ),
    event="preflight",
)


class Facade:
    """The authorization server of one policy."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def answer(self, endpoint: FacadeEndpoint, request: FacadeRequest) -> FacadeAnswer:
        """Answer one request; never raises."""
        if request.method == "OPTIONS" and endpoint not in _BROWSER:
            return _PREFLIGHT
        try:
            return await _ENDPOINTS[endpoint](request, self.context)
        except OAuthFault as fault:
            log_fault(request, fault)
            return answer_fault(endpoint, fault, request.request_id)
        except Exception:  # noqa: BLE001 - the facade's last line: a login that fails for a fault of ours gets an answer
            get_logger("postern.facade").exception(
                "endpoint failed", endpoint=endpoint.value, request_id=request.request_id
            )
            failure = OAuthFault("server_error", "The request could not be answered.")
            return answer_fault(endpoint, failure, request.request_id)


def answer_fault(endpoint: FacadeEndpoint, fault: OAuthFault, request_id: str) -> FacadeAnswer:
    """Give a fault the form that the callers of the endpoint read: a page, or JSON."""
    if endpoint not in _BROWSER:
        return json_fault(fault)
    title = _TITLES.get(fault.error, _OTHER_TITLE)
    page = PageFault(fault.status, title, fault.description, fault.error, retry_after_s=fault.retry_after_s)
    return fault_page(page, request_id)
