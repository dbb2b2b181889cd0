import ast
import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import postern_sidecar
from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade import pages
from postern_sidecar.facade.artefacts import ConsentRequest, fingerprint
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.facade.pages import ConsentView, PageFault, consent_page, error_page, fault_page
from tests.sidecar.facade.browsing import CHALLENGE, LOGIN, REDIRECT, SCOPES, Form, make_policy, remembering
from tests.sidecar.facade.building import NOW, header_of

EVIL = "</q><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"


def show(config: SidecarConfig | None = None, *, scopes: tuple[str, ...] = SCOPES, **parts: Any) -> FacadeAnswer:
    """A consent page; parts are of its Client."""
    fields: dict[str, Any] = {
        "id": "id",
        "fingerprint": fingerprint("id"),
        "name": "Claude",
        "redirect_uris": (REDIRECT,),
        "auth_method": "none",
        "kind": "dynamic",
        "grant_types": ("authorization_code",),
        **parts,
    }
    client = Client(**fields)
    config = config or make_policy()
    asked = ConsentRequest(
        client_id=client.id,
        redirect_uri=client.redirect_uris[0],
        challenge=CHALLENGE,
        scopes=scopes,
        resource=config.resource.url,
        expires_at=int(NOW),
        browser="",
    )
    view = ConsentView(asked, client, "sealed", "csrf", ("openid", "upstream:scope"), LOGIN)
    return consent_page(view, config, "request-1")


def text_of(page: FacadeAnswer) -> str:
    """What a person reads."""
    body = page.body.decode().partition("<main>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_page_names_client_destination_scopes_resource_and_provider() -> None:
    config = make_policy(resource={"name": "Weather"}, issuer={"provider": "google"})
    text = text_of(show(config))
    for part in (
        "Claude",
        "Weather",
        "https://mcp.example.com/mcp",
        "client.example.org",
        REDIRECT,
        "mcp:read",
        "mcp:write",
        "Google",
        "sso.example.com",
        "openid",
        "upstream:scope",
        "request-1",
    ):
        assert part in text


def test_page_without_a_resource_name_shows_its_host() -> None:
    assert "wants to use mcp.example.com in your name" in text_of(show())


def test_client_that_registered_itself_is_called_unverified() -> None:
    text = text_of(show(kind="dynamic"))
    assert "An application that calls itself Claude" in text
    assert "It was not checked." in text


def test_client_with_a_document_is_named_by_the_host_that_publishes_it() -> None:
    text = text_of(show(kind="document", id="https://claude.ai/oauth/metadata"))
    assert "published at claude.ai" in text
    assert "It was not checked." in text


def test_client_of_the_policy_is_called_the_administrators() -> None:
    text = text_of(show(kind="configured"))
    assert "that the administrator registered" in text
    assert "not checked" not in text


def test_loopback_destination_is_warned_of() -> None:
    text = text_of(show(redirect_uris=("http://127.0.0.1:33418/cb",)))
    assert "a program on this computer" in text
    assert "127.0.0.1:33418" in text
    assert "only if you just started" in text


def test_private_use_scheme_is_shown_as_what_opens_it() -> None:
    text = text_of(show(redirect_uris=("cursor://anysphere.cursor-mcp/oauth/callback",)))
    assert "the application that opens cursor:// links" in text
    assert "Any application on this device can claim these links." in text


def test_user_is_told_when_the_client_stays_logged_in() -> None:
    assert "stays logged in" in text_of(show(grant_types=("authorization_code", "refresh_token")))
    assert "stays logged in" not in text_of(show())


def test_user_is_told_when_the_answer_is_remembered() -> None:
    assert "for 30 days" in text_of(show(make_policy(remembering())))
    assert "for 30 days" not in text_of(show())


def test_form_posts_to_our_own_consent_endpoint_with_both_buttons() -> None:
    form = Form(show().body)
    assert (form.method, form.action) == ("post", "https://mcp.example.com/consent")
    assert form.fields == {"request": "sealed", "csrf": "csrf"}
    assert form.decisions == ["approve", "deny"]


@pytest.mark.parametrize("place", ["name", "resource", "scope", "redirect", "document"])
def test_markup_in_what_strangers_wrote_is_shown_and_never_runs(place: str) -> None:
    pages_by_place = {
        "name": lambda: show(name=EVIL),
        "resource": lambda: show(make_policy(resource={"name": EVIL})),
        "scope": lambda: show(scopes=(EVIL,)),
        "redirect": lambda: show(redirect_uris=(f"https://client.example.org/{EVIL}",)),
        "document": lambda: show(kind="document", id=f"https://client.example.org{EVIL}/x"),
    }
    body = pages_by_place[place]().body.decode()
    assert "<script" not in body
    assert "<img" not in body
    assert "&lt;" in body


def test_markup_in_an_error_page_is_shown_and_never_runs() -> None:
    body = error_page(400, EVIL, EVIL, EVIL).body.decode()
    assert "<script" not in body
    assert body.count("&lt;script&gt;") == 4


def test_name_cannot_imitate_the_page() -> None:
    name = "Claude\n\nApproved by your administrator.\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 500
    body = show(name=name).body.decode()
    (shown,) = re.findall(r"<q><bdi>(.*?)</bdi></q>", body, re.DOTALL)
    assert "\n" not in shown
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in body
    assert len(shown) <= 80


def test_client_without_a_name_is_shown_as_such() -> None:
    assert "(no name)" in text_of(show(name=""))
    assert "(no name)" in text_of(show(name=" \N{NO-BREAK SPACE} "))


@pytest.mark.parametrize("kind", ["consent", "error"])
def test_page_runs_no_script_loads_nothing_and_stands_in_no_frame(kind: str) -> None:
    page = show() if kind == "consent" else error_page(400, "Title", "Text", "request-1")
    assert header_of(page, "x-frame-options") == "DENY"
    assert header_of(page, "x-content-type-options") == "nosniff"
    assert header_of(page, "cache-control") == "no-store"
    assert header_of(page, "content-type") == "text/html; charset=utf-8"
    policy = header_of(page, "content-security-policy") or ""
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives.keys() == {"default-src", "style-src", "frame-ancestors", "base-uri"}
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert b"<script" not in page.body
    assert not re.findall(rb"\s(?:src|href|style|on[a-z]+)=", page.body)


def test_style_is_the_one_whose_hash_the_policy_states() -> None:
    page = show()
    (style,) = re.findall(rb"<style>(.*?)</style>", page.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in (header_of(page, "content-security-policy") or "")


def test_consent_page_lets_the_browser_name_its_origin_to_us_alone() -> None:
    # With no-referrer browsers send the form with "Origin: null" (Fetch, append a request Origin header).
    assert header_of(show(), "referrer-policy") == "same-origin"
    assert header_of(error_page(400, "", "", ""), "referrer-policy") == "no-referrer"


def test_page_is_readable_for_people_and_machines() -> None:
    for page in (show(), error_page(400, "Title", "Text", "request-1")):
        body = page.body.decode()
        assert body.startswith("<!DOCTYPE html>")
        assert '<html lang="en">' in body
        assert 'name="viewport" content="width=device-width, initial-scale=1"' in body
        assert body.count("<h1>") == 1
        assert "prefers-color-scheme: dark" in body


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("text", "card"),
        ("soft", "card"),
        ("text", "warn"),
        ("on-accent", "accent"),
        ("accent", "card"),
        ("text", "page"),
    ],
)
def test_text_stands_out_from_its_ground(scheme: int, text: str, ground: str) -> None:
    style = (Path(pages.__file__).parent / "templates" / "style.css").read_text()
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in style.split("@media")]
    lighter, darker = sorted((luminance(colours[scheme][text]), luminance(colours[scheme][ground])), reverse=True)
    # WCAG 2.2, success criterion 1.4.3.
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_error_page_says_what_is_wrong_and_what_to_quote() -> None:
    page = fault_page(PageFault(503, "Title", "Text.", "event", retry_after_s=7), "request-1")
    assert text_of(page) == "Title Text. Status: 503. Request: request-1"
    assert (page.status, page.event, header_of(page, "retry-after")) == (503, "event", "7")


def test_every_preset_has_a_name_on_the_page() -> None:
    for provider in ("workos", "auth0", "google", "github", "okta", "entra", "keycloak", "supabase", "betterAuth"):
        config = make_policy(issuer={"provider": provider, "issuer": "https://idp.invalid"})
        assert "idp.invalid" not in text_of(show(config))


def test_jinja2_is_imported_by_the_pages_alone() -> None:
    found = set()
    for path in Path(postern_sidecar.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in ("jinja2", "markupsafe") for name in names):
                found.add(path.name)
    assert found == {"pages.py"}


def test_pages_render_without_docstrings_and_write_nothing_beside_the_templates() -> None:
    folder = Path(pages.__file__).parent / "templates"
    before = sorted(path.name for path in folder.iterdir())
    code = "from postern_sidecar.facade.pages import error_page; print(error_page(400, 'T', 'X', 'r').body.decode())"
    run = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "<h1>T</h1>" in run.stdout
    assert (
        sorted(path.name for path in folder.iterdir())
        == before
        == [
            "base.html",
            "consent.html",
            "error.html",
            "style.css",
        ]
    )


def test_form_of_a_server_under_a_path_posts_below_that_path() -> None:
    config = msgspec.structs.replace(make_policy(), proxy=remembering(issuer="https://mcp.example.com/weather"))
    assert Form(show(config).body).action == "https://mcp.example.com/weather/consent"
