"""The authorization endpoint (RFC 6749 section 3.1): this module leads to the user's question, or refuses.

Nothing is used up here: some clients fetch the page once before the browser does.
"""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from postern_crds.sidecar_files import CLIENT_SECRET_FILE
from postern_sidecar.facade import login, redirects
from postern_sidecar.facade.artefacts import ConsentRequest, fingerprint, seal_as
from postern_sidecar.facade.authorization_request import check
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames, new_secret, read_cookies, session
from postern_sidecar.facade.display import destination
from postern_sidecar.facade.fault_log import log_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, read_form, read_parameters
from postern_sidecar.facade.pages import ConsentView, PageFault, consent_page, fault_page, method_page
from postern_sidecar.facade.redirects import ReturnAddress
from postern_sidecar.facade.remembered import approval_of, is_asked_by_user, is_remembered
from postern_sidecar.logs import get_logger

__all__ = ["authorize"]

_MAX_CLIENT_ID = 4096
_MAX_REDIRECT_URI = 1024
_MAX_STATE = 1024
"""Characters. It travels to the identity provider and back in a cookie."""
_GO_BACK = "Go back to the application and start again. If that does not help, tell those who made it."


async def authorize(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Answer with the consent page, a redirect to the client that says what is wrong, or a page that does.

    A page as long as nobody may be redirected, because client or redirect URI are not in order (SPEC 51).
    """
    if request.method not in ("GET", "HEAD", "POST"):
        return method_page("GET, HEAD, POST", request.request_id)
    try:
        answer = await _answer(request, context)
    except PageFault as fault:
        answer = fault_page(fault, request.request_id)
    return replace(answer, body=b"") if request.method == "HEAD" else answer


async def _answer(request: FacadeRequest, context: Context) -> FacadeAnswer:
    parameters = _read(request)
    client = await _find_client(request, parameters, context)
    address = _return_address(parameters, client, context)
    try:
        asked = check(parameters, client, address=address, config=context.config, now=request.now)
        login.require_fit(asked, context, request.now)
        _require_credentials(context, request.now)
        answer = await _ask(request, asked, client=client, context=context, prompt=parameters.get("prompt", ""))
    except OAuthFault as fault:
        log_fault(request, fault)
        answer = _tell_client(request, address, fault=fault, client=client, context=context)
    return replace(answer, client_id=client.id)


def _tell_client(
    request: FacadeRequest, address: ReturnAddress, *, fault: OAuthFault, client: Client, context: Context
) -> FacadeAnswer:
    """Redirect to the client; to a site that only the client itself vouches for, let the user go (RFC 9700 4.11.2).

    Nobody was asked yet, and anybody can register a client: links to us must not lead to a site of its choice unseen.
    """
    answer = redirects.to_client(request, address, fault)
    registration = context.proxy.registration
    is_vouched_for = (
        client.kind == "configured" or registration.allowed_hosts or address.redirect_uri in registration.redirect_uris
    )
    if is_vouched_for or destination(address.redirect_uri).kind != "web":
        return answer
    text = (
        f"{fault.description} Nothing was shared. You can go back to the application with this answer. Do so only if "
        "you know its site and just started the login there."
    )
    title, way_back = "The application cannot log you in", dict(answer.headers)[b"location"].decode("ascii")
    page = PageFault(fault.status, title, text, fault.error, retry_after_s=fault.retry_after_s)
    return fault_page(page, request.request_id, way_back=way_back)


def _read(request: FacadeRequest) -> Mapping[str, str]:
    try:
        return read_form(request) if request.method == "POST" else read_parameters(request.query)
    except OAuthFault as fault:
        raise PageFault(400, "This link is damaged", f"{fault.description} {_GO_BACK}", fault.error) from fault


async def _find_client(request: FacadeRequest, parameters: Mapping[str, str], context: Context) -> Client:
    client_id = parameters.get("client_id", "")
    if not client_id or len(client_id) > _MAX_CLIENT_ID:
        text = f"The link does not say which application sent you. {_GO_BACK}"
        raise PageFault(400, "This link is incomplete", text, "invalid_request")
    try:
        return await context.clients.find(client_id, request.now)
    except OAuthFault as fault:
        log_fault(request, fault)
        if fault.status == 503:
            text = f"{fault.description} Wait a moment, then reload this page."
            raise PageFault(
                503, "Try again in a moment", text, fault.error, retry_after_s=fault.retry_after_s
            ) from fault
        text = (
            f"{fault.description} If you have used it before, remove this server from the application and add it "
            "again: it then registers anew."
        )
        raise PageFault(400, "This application is not known here", text, fault.error) from fault


def _return_address(parameters: Mapping[str, str], client: Client, context: Context) -> ReturnAddress:
    redirect_uri = parameters.get("redirect_uri")
    if redirect_uri is None and len(client.redirect_uris) == 1:
        # RFC 6749 section 3.1.2.3.
        redirect_uri = client.redirect_uris[0]
    if redirect_uri is None or len(redirect_uri) > _MAX_REDIRECT_URI or not client.allows_redirect(redirect_uri):
        text = f"The application wants to be reached at an address that is not registered for it. {_GO_BACK}"
        raise PageFault(400, "You were not sent on", text, "invalid_redirect_uri")
    state = parameters.get("state")
    if state is not None and len(state) > _MAX_STATE:
        text = f"The state of the link has more than {_MAX_STATE} characters. {_GO_BACK}"
        raise PageFault(400, "This link is too long", text, "invalid_request")
    return ReturnAddress(redirect_uri, state, context.proxy.issuer)


def _require_credentials(context: Context, now: float) -> None:
    """Refuse logins that would fail at their very end, when the user has nobody left to tell."""
    state = context.exchange.client_state()
    if state in ("none", "ready") or (state == "secret_rejected" and not context.exchange.rejected_recently(now)):
        return
    get_logger("postern.facade").error(
        "logins are not possible", client_state=state, file=CLIENT_SECRET_FILE, field="spec.proxy.client.secretRef"
    )
    reason = "lacks its credentials" if state == "secret_missing" else "has credentials that are refused"
    text = (
        f"This server {reason} at the identity provider, so nobody can log in. Call its administrator and quote the "
        "request below. Afterwards, reload this page."
    )
    raise PageFault(503, "Logins are not possible at present", text, "temporarily_unavailable", retry_after_s=60)


async def _ask(
    request: FacadeRequest, asked: ConsentRequest, *, client: Client, context: Context, prompt: str
) -> FacadeAnswer:
    names, cookies = CookieNames(context.proxy.issuer), read_cookies(request)
    endpoint = await login.authorization_endpoint(context)
    scopes = login.upstream_scopes(asked, client, context)
    approval = approval_of(asked, scopes)
    agreed = context.proxy.consent == "Remember" and is_remembered(
        cookies.get(names.consent), approval, seals=context.seals, now=request.now
    )
    _refuse_silence(prompt, agreed=agreed)
    if agreed and not prompt and is_asked_by_user(request):
        return await login.begin(request, asked, client, context)
    csrf = new_secret(cookies.get(names.csrf))
    asked = msgspec.structs.replace(asked, browser=fingerprint(csrf))
    view = ConsentView(
        asked=asked,
        client=client,
        sealed=seal_as(context.seals, asked, request.now),
        csrf=csrf,
        upstream_scopes=scopes,
        endpoint=endpoint,
    )
    page = consent_page(view, context.config, request.request_id)
    return replace(page, headers=(*page.headers, session(names.csrf, csrf)))


def _refuse_silence(prompt: str, *, agreed: bool) -> None:
    """Refuse prompt=none (OpenID Connect Core section 3.1.2.1): there is no session here in which to answer it."""
    if "none" not in prompt.split(" "):
        return
    if prompt != "none":
        raise OAuthFault("invalid_request", "prompt=none stands alone.")
    raise OAuthFault("login_required" if agreed else "consent_required", "The user must be asked.")
