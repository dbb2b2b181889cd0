"""What people see: this module renders the consent page and the error pages. No script runs on any of them.

Only mode Proxy loads it, for it brings jinja2.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.errors import SidecarError
from postern_sidecar.facade.artefacts import ConsentRequest
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.display import destination, host_of, provider_name, visible
from postern_sidecar.facade.messages import NO_STORE, FacadeAnswer
from postern_sidecar.facade.scopes import OFFLINE_ACCESS

__all__ = ["ConsentView", "PageFault", "consent_page", "error_page", "fault_page", "method_page"]

_FOLDER = Path(__file__).with_name("templates")


class PageFault(SidecarError):
    """Raised where a request ends with a page, because nobody may be redirected."""

    def __init__(self, status: int, title: str, text: str, event: str, *, retry_after_s: int | None = None) -> None:
        """Take what the page says: what is wrong, and what to do; event is for the audit line and the metrics."""
        super().__init__(f"{status}: {title}")
        self.status = status
        self.title = title
        self.text = text
        self.event = event
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class ConsentView:
    """What the user is asked."""

    asked: ConsentRequest
    client: Client
    sealed: str
    """The request, sealed, for the form."""
    csrf: str
    upstream_scopes: tuple[str, ...]
    """What the identity provider is asked for."""
    endpoint: str
    """Where the user logs in."""


def consent_page(view: ConsentView, config: SidecarConfig, request_id: str) -> FacadeAnswer:
    """Give the question whether this client may act for the user (SPEC 37, 43)."""
    proxy = config.proxy
    body = (
        _environment()
        .get_template("consent.html")
        .render(
            title="Allow access?",
            action=f"{proxy.issuer if proxy else ''}/consent",
            sealed=view.sealed,
            csrf=view.csrf,
            client_name=visible(view.client.name),
            client_kind=view.client.kind,
            client_host=host_of(view.client.id) if view.client.kind == "document" else "",
            destination=destination(view.asked.redirect_uri),
            redirect_uri=view.asked.redirect_uri,
            resource_name=visible(config.resource.name) or host_of(view.asked.resource),
            resource_url=view.asked.resource,
            scopes=[visible(scope, 256) for scope in view.asked.scopes if scope != OFFLINE_ACCESS],
            offline="refresh_token" in view.client.grant_types,
            upstream_scopes=[visible(scope, 256) for scope in view.upstream_scopes],
            provider=provider_name(config.issuer.provider, config.issuer.issuer),
            provider_host=host_of(view.endpoint),
            remembers=proxy is not None and proxy.consent == "Remember",
            request_id=visible(request_id, 128),
        )
    )
    # Not no-referrer: browsers would then send the form with "Origin: null". Nothing of it goes to others.
    return _page(200, body, b"same-origin", "consent_asked")


def error_page(status: int, title: str, text: str, request_id: str, *, way_back: str = "") -> FacadeAnswer:
    """Give a page that says what is wrong and what to do.

    way_back: an https URL that is offered as a link; empty: none.
    """
    host = host_of(way_back)
    body = (
        _environment()
        .get_template("error.html")
        .render(
            title=title, text=text, status=status, request_id=visible(request_id, 128), way_back=way_back, host=host
        )
    )
    return _page(status, body, b"no-referrer", "refused")


def fault_page(fault: PageFault, request_id: str, *, way_back: str = "") -> FacadeAnswer:
    """Give the page for a fault. way_back: as error_page has it."""
    page = error_page(fault.status, fault.title, fault.text, request_id, way_back=way_back)
    retry = () if fault.retry_after_s is None else ((b"retry-after", str(fault.retry_after_s).encode()),)
    return replace(page, headers=(*page.headers, *retry), event=fault.event)


def method_page(allowed: str, request_id: str) -> FacadeAnswer:
    """Give the page for a method that is not allowed here (RFC 9110 section 15.5.6)."""
    text = "This address is a step of a login. Go back to the application and start again."
    page = error_page(405, "There is nothing to see here", text, request_id)
    return replace(page, headers=(*page.headers, (b"allow", allowed.encode())), event="method_not_allowed")


def _page(status: int, body: str, referrer_policy: bytes, event: str) -> FacadeAnswer:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    # No form-action: browsers apply it to the redirects that follow, and block those to private-use schemes.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        *NO_STORE,
        (b"content-security-policy", policy.encode()),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", referrer_policy),
        (b"x-content-type-options", b"nosniff"),
    )
    return FacadeAnswer(status, headers, body.encode(), event)


@cache
def _environment() -> Environment:
    # Made at the first page: most requests need none. Nothing is written beside the templates.
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = _style()
    return environment


@cache
def _style() -> str:
    return (_FOLDER / "style.css").read_text(encoding="utf-8")
