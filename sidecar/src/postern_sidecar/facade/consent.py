"""The user's answer (``<issuer>/consent``): this module takes it from the page that asked, and from no other."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from postern_sidecar.facade import login, redirects
from postern_sidecar.facade.artefacts import ConsentRequest, fingerprint, open_as
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames, read_cookies, stored
from postern_sidecar.facade.fault_log import log_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, read_form
from postern_sidecar.facade.pages import PageFault, fault_page, method_page
from postern_sidecar.facade.redirects import ReturnAddress
from postern_sidecar.facade.remembered import REMEMBER_S, approval_of, with_approval

__all__ = ["consent"]

_AGAIN = "Nothing was shared. Go back to the application and start again."


async def consent(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Answer with a redirect: to the identity provider when the user agreed, else to the client with access_denied.

    A page when the answer is not from this user at our own page. Nothing is used up: the page may be sent twice.
    """
    if request.method != "POST":
        return method_page("POST", request.request_id)
    try:
        return await _answer(request, context)
    except PageFault as fault:
        return fault_page(fault, request.request_id)


async def _answer(request: FacadeRequest, context: Context) -> FacadeAnswer:
    _require_own_page(request, context.proxy.issuer)
    form = _read(request)
    csrf = _require_own_browser(form, read_cookies(request), context)
    asked = _open(form, csrf, context, request.now)
    client = await _find_client(request, asked, context)
    address = ReturnAddress(asked.redirect_uri, asked.state, context.proxy.issuer)
    match form.get("decision"):
        case "approve":
            answer = await _approve(request, asked, client=client, address=address, context=context)
        case "deny":
            fault = OAuthFault("access_denied", "The user refused.")
            answer = redirects.to_client(request, address, fault)
        case _:
            raise PageFault(
                400, "No answer was given", f"The form came without a decision. {_AGAIN}", "invalid_request"
            )
    return replace(answer, client_id=client.id)


async def _approve(
    request: FacadeRequest, asked: ConsentRequest, *, client: Client, address: ReturnAddress, context: Context
) -> FacadeAnswer:
    try:
        answer = await login.begin(request, asked, client, context)
    except OAuthFault as fault:
        log_fault(request, fault)
        return redirects.to_client(request, address, fault)
    if context.proxy.consent != "Remember":
        return answer
    name = CookieNames(context.proxy.issuer).consent
    approval = approval_of(asked, login.upstream_scopes(asked, client, context))
    value = with_approval(read_cookies(request).get(name), approval, seals=context.seals, now=request.now)
    return replace(answer, headers=(*answer.headers, stored(name, value, REMEMBER_S)))


def _require_own_page(request: FacadeRequest, issuer: str) -> None:
    """Refuse forms from elsewhere, as far as the browser tells (SPEC 43)."""
    own = _origin(issuer)
    sites, origins = request.values(b"sec-fetch-site"), request.values(b"origin")
    if any(site != b"same-origin" for site in sites) or any(origin != own for origin in origins):
        raise PageFault(403, "This form is not ours", f"Another site sent it in your name. {_AGAIN}", "forged_consent")


def _origin(issuer: str) -> bytes:
    """Give the origin of ours as browsers write it (RFC 6454 section 6.2)."""
    parts = urlsplit(issuer.lower())
    default = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.removesuffix(default)}".encode()


def _read(request: FacadeRequest) -> Mapping[str, str]:
    try:
        return read_form(request)
    except OAuthFault as fault:
        raise PageFault(400, "This form is damaged", f"{fault.description} {_AGAIN}", fault.error) from fault


def _require_own_browser(form: Mapping[str, str], cookies: Mapping[str, str], context: Context) -> str:
    """Give the secret that form and cookie share. Raises PageFault."""
    cookie = cookies.get(CookieNames(context.proxy.issuer).csrf, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), form.get("csrf", "").encode()):
        text = f"Either it is not from this browser, or this browser keeps no cookies, which logging in needs. {_AGAIN}"
        raise PageFault(403, "This form does not fit your browser", text, "forged_consent")
    return cookie


def _open(form: Mapping[str, str], csrf: str, context: Context, now: float) -> ConsentRequest:
    asked = open_as(context.seals, ConsentRequest, form.get("request", ""))
    if asked is None:
        raise PageFault(400, "This form is damaged", f"It is not as it was handed out. {_AGAIN}", "invalid_request")
    if not hmac.compare_digest(asked.browser, fingerprint(csrf)):
        text = f"It was handed out to another browser. {_AGAIN}"
        raise PageFault(403, "This form does not fit your browser", text, "forged_consent")
    if asked.expires_at <= now:
        raise PageFault(400, "This page was open for too long", _AGAIN, "expired")
    return asked


async def _find_client(request: FacadeRequest, asked: ConsentRequest, context: Context) -> Client:
    """Give the client, if it still may do what the page said. Raises PageFault."""
    try:
        client = await context.clients.find(asked.client_id, request.now)
    except OAuthFault as fault:
        log_fault(request, fault)
        status = 503 if fault.status == 503 else 400
        raise PageFault(
            status,
            "This application cannot go on",
            f"{fault.description} {_AGAIN}",
            fault.error,
            retry_after_s=fault.retry_after_s,
        ) from fault
    if not client.allows_redirect(asked.redirect_uri):
        text = f"The application may no longer be reached at the address that you were shown. {_AGAIN}"
        raise PageFault(400, "You were not sent on", text, "invalid_redirect_uri")
    return client
