"""The return from the identity provider: this module hands its code on, sealed, to the client that began the login."""

import hmac
from collections.abc import Mapping
from dataclasses import replace

from postern_sidecar.errors import IdpError
from postern_sidecar.facade.artefacts import CODE_S, Code, Transaction, open_as, seal_as
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames, deleted, read_cookies
from postern_sidecar.facade.display import visible
from postern_sidecar.facade.fault_log import log_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, read_parameters
from postern_sidecar.facade.pages import PageFault, fault_page, method_page
from postern_sidecar.facade.redirects import ReturnAddress, to_client
from postern_sidecar.logs import get_logger

__all__ = ["callback"]

_MAX_CODE = 4096
"""Characters; the longest seen are some 2,000."""
_MAX_STATE = 256
"""Ours has 22 characters."""
_MAX_LOGGED = 300
_PASSED_ON = {
    "access_denied": "The user or the identity provider refused.",
    "temporarily_unavailable": "The identity provider is not available at present.",
}
"""Errors that mean the same to the client as to us (RFC 6749 section 4.1.2.1)."""
_AGAIN = "Go back to the application and start again."


async def callback(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Answer with a redirect to the client, with a code or an error.

    A page when this browser did not begin the login, or another issuer answers: then the client learns nothing.
    The login's cookie is deleted in any case (SPEC 46).
    """
    if request.method != "GET":
        return method_page("GET", request.request_id)
    try:
        parameters = read_parameters(request.query)
    except OAuthFault as fault:
        text = f"{fault.description} {_AGAIN}"
        return fault_page(PageFault(400, "This link is damaged", text, fault.error), request.request_id)
    state = parameters.get("state", "")[:_MAX_STATE]
    name = CookieNames(context.proxy.issuer).transaction(state)
    cookie = read_cookies(request).get(name)
    try:
        answer = await _answer(request, parameters, _open(cookie, state, context, request.now), context)
    except PageFault as fault:
        answer = fault_page(fault, request.request_id)
    return answer if cookie is None else replace(answer, headers=(*answer.headers, deleted(name)))


def _open(cookie: str | None, state: str, context: Context, now: float) -> Transaction:
    """Give the login that this browser began with this state. Raises PageFault."""
    transaction = None if cookie is None else open_as(context.seals, Transaction, cookie)
    if transaction is None or not hmac.compare_digest(transaction.upstream_state.encode(), state.encode()):
        text = (
            "It was started in another browser, or it is finished already, or this browser keeps no cookies, which "
            f"logging in needs. {_AGAIN}"
        )
        raise PageFault(403, "This login does not belong to your browser", text, "foreign_browser")
    if transaction.expires_at <= now:
        raise PageFault(400, "This login took too long", _AGAIN, "expired")
    return transaction


async def _answer(
    request: FacadeRequest, parameters: Mapping[str, str], transaction: Transaction, context: Context
) -> FacadeAnswer:
    address = ReturnAddress(transaction.redirect_uri, transaction.state, context.proxy.issuer)
    try:
        await _require_issuer(parameters.get("iss"), context)
        _refuse_error(parameters, request.request_id)
        upstream_code = _require_code(parameters)
    except OAuthFault as fault:
        log_fault(request, fault)
        return to_client(request, address, fault)
    code = seal_as(context.seals, _code(upstream_code, transaction, request.now), request.now)
    return to_client(request, address, {"code": code}, event="code_issued")


async def _require_issuer(iss: str | None, context: Context) -> None:
    """Refuse the answer of another issuer (RFC 9207 section 2.4): codes must not be redeemed at the wrong one.

    Raises PageFault, and OAuthFault temporarily_unavailable while nobody can tell.
    """
    known, promised = context.config.issuer.issuer, False
    if context.config.issuer.metadata_urls:
        try:
            metadata = await context.idp.metadata.get()
        except IdpError as error:
            text = "The identity provider cannot be reached at present."
            raise OAuthFault("temporarily_unavailable", text, detail=str(error)) from error
        known, promised = metadata.issuer, metadata.iss_parameter
    if iss == known or (iss is None and not promised):
        return
    if iss is not None and not promised and iss in context.config.issuer.other_issuers:
        return
    text = f"Someone else than the expected identity provider answered, so the answer was dropped. {_AGAIN}"
    raise PageFault(400, "The login was not finished", text, "wrong_issuer")


def _refuse_error(parameters: Mapping[str, str], request_id: str) -> None:
    error = parameters.get("error")
    if error is None:
        return
    # Whoever holds the state may write anything into these: they are for the log alone.
    get_logger("postern.facade").warning(
        "identity provider refused a login",
        error=visible(error, 64),
        description=visible(parameters.get("error_description", ""), _MAX_LOGGED),
        request_id=request_id,
    )
    if error in _PASSED_ON:
        raise OAuthFault(error, _PASSED_ON[error])
    raise OAuthFault("server_error", "The identity provider could not complete the login.")


def _require_code(parameters: Mapping[str, str]) -> str:
    code = parameters.get("code", "")
    if not 0 < len(code) <= _MAX_CODE:
        detail = f"the identity provider answered with a code of {len(code)} characters"
        raise OAuthFault("server_error", "The identity provider could not complete the login.", detail=detail)
    return code


def _code(upstream_code: str, transaction: Transaction, now: float) -> Code:
    return Code(
        upstream_code=upstream_code,
        verifier=transaction.verifier,
        nonce=transaction.nonce,
        client=transaction.client,
        redirect_uri=transaction.redirect_uri,
        challenge=transaction.challenge,
        scopes=transaction.scopes,
        resource=transaction.resource,
        expires_at=int(now) + CODE_S,
    )
