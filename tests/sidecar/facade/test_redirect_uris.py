"""Which redirect URIs a client may have: those of real clients as they are, and none that could lead elsewhere."""

from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_crds.sidecar_config import RegistrationConfig
from postern_sidecar.facade.redirect_uris import MAX_REDIRECT_URI, is_same_redirect, refusal

OPEN = RegistrationConfig(dynamic=True, metadata_documents=True, allowed_hosts=(), redirect_uris=())


def limited(*hosts: str, redirect_uris: tuple[str, ...] = ()) -> RegistrationConfig:
    return msgspec.structs.replace(OPEN, allowed_hosts=hosts, redirect_uris=redirect_uris)


REAL = [
    "https://claude.ai/api/mcp/auth_callback",
    "https://claude.com/api/mcp/auth_callback",
    "http://localhost/callback",
    "http://127.0.0.1/callback",
    "http://localhost:52341/callback",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
    "https://insiders.vscode.dev/redirect",
    "https://vscode.dev/redirect",
    "http://127.0.0.1/",
    "http://127.0.0.1:33418/",
    "http://127.0.0.1:33418",
    "https://chatgpt.com/connector_platform_oauth_redirect",
    "https://chatgpt.com/connector/oauth/AbC-1_2",
    "https://oauth-redirect.googleusercontent.com/r/user_bound_custom-mcp-1234",
    "https://antigravity.google/oauth-callback",
    "http://localhost:3334/oauth/callback",
    "http://127.0.0.1:19876/mcp/oauth/callback",
    "http://localhost:6274/oauth/callback/debug",
    "http://127.0.0.1:6276/oauth/callback",
    "http://[::1]:8080/callback",
]
OTHERS = [
    "com.example.app:/oauth2redirect",
    "com.example.app:///oauth2redirect",
    "vscode://ms.example/callback?state=1",
    "https://example.com/cb?tenant=a&b=%2Fc",
    "https://example.com:8443/cb",
    "https://10.0.0.5/cb",
    "https://intranet/cb",
    "https://[2001:db8::5]/cb",
    "https://xn--bcher-kva.example/cb",
    "https://localhost:8443/cb",
    "https://example.com/a..b/...c/@x",
]


@pytest.mark.parametrize("uri", REAL + OTHERS)
def test_redirect_uri_of_a_real_client_is_allowed(uri: str) -> None:
    assert refusal(uri, OPEN) is None


@pytest.mark.parametrize(
    "uri",
    [
        # Scripts and local content
        "javascript:alert(1)",
        "javascript:/alert(1)",
        "javascript://example.com/%0aalert(1)",
        "JaVaScRiPt:/alert(1)",
        "java\tscript:/alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:/text/html;base64,x",
        "vbscript:/x",
        "file:///etc/passwd",
        "blob:https://example.com/1",
        "blob:/x",
        "about:/blank",
        "view-source:/x",
        "filesystem:/x",
        # Other transports and programs
        "ws://localhost/cb",
        "wss://example.com/cb",
        "ftp://example.com/cb",
        "mailto:a@example.com",
        "intent://example.com/cb",
        "ms-msdt:/id",
        # Nearly http
        "http:/evil.example/cb",
        "https:/evil.example/cb",
        "https:///evil.example/cb",
        "https:evil.example/cb",
        "https:\\\\evil.example/cb",
        "https://\\evil.example/cb",
        "https:/\\evil.example/cb",
        "\\\\evil.example/cb",
        "//evil.example/cb",
        "/cb",
        "cb",
        "",
        "httpx://evil.example/cb",
        "http+unix://evil/cb",
        "hxxps://evil.example/cb",
        "HTTP://LOCALHOST/cb",
        "HTTPS://example.com/cb",
        " https://example.com/cb",
        "https://example.com/cb ",
        "https://example.com/cb\n",
        "https://example.com/cb\r\nLocation:x",
        "https://example.com/c\x00b",
        # Parts that have no place there
        "https://example.com/cb#",
        "https://example.com/cb#fragment",
        "cursor://x/cb#fragment",
        "https://good.example@evil.example/cb",
        "https://user:password@example.com/cb",
        "https://@example.com/cb",
        "cursor://user@host/cb",
        "https://good.example%40evil.example/cb",
        "https://*.example.com/cb",
        "https://example.com/*",
        "https://example.com/cb?x=*",
        "cursor://*",
        "http://localhost:*/cb",
        "https://example.com/a|b",
        "https://example.com/<b>",
        'https://example.com/"b',
        "https://example.com/{b}",
        "https://example.com/%zz",
        "https://example.com/%4",
        "https://example.com/[b]",
        "https://example.com/cb?a[]=1",
        # Dot segments, plain and in disguise
        "https://example.com/a/../cb",
        "https://example.com/./cb",
        "https://example.com/..",
        "https://example.com/%2e%2e/cb",
        "https://example.com/.%2E/cb",
        "https://example.com/a%2f..%2fcb",
        "https://example.com/a%5c..%5ccb",
        "https://example.com/%252e%252e/cb",
        "https://example.com/..;x=1/cb",
        "http://localhost/../cb",
        "cursor://x/../cb",
        "com.example.app:/../cb",
        # Hosts
        "https://",
        "https:///",
        "https://:443/cb",
        "https://?x",
        "https://.example.com/cb",
        "https://example..com/cb",
        "https://example.com./cb",
        "https://-example.com/cb",
        "https://exa_mple.com/cb",
        "https://EXAMPLE.com/cb",
        "https://ex%61mple.com/cb",
        "https://bücher.example/cb",
        "https://ex\u0430mple.com/cb",
        "https://example.com\u3002evil.example/cb",
        "https://example。com/cb",
        f"https://{'a' * 64}.example/cb",
        f"https://{'a.' * 130}example/cb",
        "https://0x7f.0.0.1/cb",
        "https://2130706433/cb",
        "https://0177.0.0.1/cb",
        "https://127.1/cb",
        "https://256.1.1.1/cb",
        "https://1.2.3.4.5/cb",
        "https://example.1/cb",
        "https://[::1/cb",
        "https://[]/cb",
        "https://[::ffff:127.0.0.1]/cb",
        "https://[::ffff:7f00:1]/cb",
        "https://[fe80::1%25eth0]/cb",
        "https://[v1.x]/cb",
        # Ports
        "https://example.com:/cb",
        "https://example.com:0/cb",
        "https://example.com:065/cb",
        "https://example.com:65536/cb",
        "https://example.com:99999/cb",
        "https://example.com:80:80/cb",
        "https://example.com:a/cb",
        # http off loopback
        "http://example.com/cb",
        "http://localhost.evil.com/cb",
        "http://localhost.:80/cb",
        "http://evil.com/localhost",
        "http://127.0.0.1.nip.io/cb",
        "http://127.0.0.2/cb",
        "http://127.1/cb",
        "http://0.0.0.0/cb",
        "http://[::]/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb",
        "http://LOCALHOST/cb",
        "http://localhost@evil.com/cb",
        "http://localhost\\@evil.com/cb",
        "http://localhost:80@evil.com/cb",
        "http://xn--localhost-/cb",
        # Length
        "https://example.com/" + "a" * MAX_REDIRECT_URI,
        "https://example.com/" + "a" * 60000,
    ],
)
def test_redirect_uri_that_could_lead_elsewhere_is_refused(uri: str) -> None:
    reason = refusal(uri, OPEN)
    assert reason is not None
    # It becomes part of error_description (RFC 6749 section 5.2).
    assert reason.isascii()
    assert reason.isprintable()
    assert not set(reason) & {'"', "\\"}


@given(
    st.text(max_size=80),
    st.sampled_from(["", "https://", "http://", "https://example.com/", "cursor://", "http://localhost"]),
)
def test_allowed_redirect_uri_is_read_alike_by_the_standard_library(text: str, start: str) -> None:
    uri = start + text
    if refusal(uri, OPEN) is not None:
        return
    parts = urlsplit(uri)
    assert uri.isascii()
    assert not parts.fragment
    assert parts.username is None
    if parts.scheme == "http":
        assert parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme in ("http", "https"):
        assert parts.hostname
        assert parts.port is None or 0 < parts.port < 65536


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/cb",
        "https://example.com:8443/cb",
        "https://app.example.org/cb",
        "https://a.b.example.org/cb",
        "http://localhost:1/cb",
        "http://127.0.0.1/cb",
        "http://[::1]/cb",
        "cursor://x/cb",
    ],
)
def test_allowed_hosts_let_pass_their_hosts_loopback_and_private_schemes(uri: str) -> None:
    assert refusal(uri, limited("example.com", "*.example.org")) is None


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.com/cb",
        "https://sub.example.com/cb",
        "https://example.org/cb",
        "https://evilexample.org/cb",
        "https://example.com.evil.com/cb",
        "https://evil.com/example.com",
        "https://10.0.0.5/cb",
    ],
)
def test_host_beyond_the_allowed_ones_is_refused(uri: str) -> None:
    assert refusal(uri, limited("example.com", "*.example.org")) == "has a host that the policy does not allow"


def test_uri_that_the_policy_names_is_allowed_exactly_as_it_is() -> None:
    rules = limited("example.com", redirect_uris=("http://intranet/cb", "https://partner.example/cb"))
    assert refusal("http://intranet/cb", rules) is None
    assert refusal("https://partner.example/cb", rules) is None
    assert refusal("https://partner.example/cb/", rules) is not None
    assert refusal("https://partner.example/cb?x", rules) is not None


def test_policy_cannot_name_a_script() -> None:
    assert refusal("javascript:/x", limited(redirect_uris=("javascript:/x",))) is not None


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("http://localhost/callback", "http://localhost:52341/callback"),
        ("http://127.0.0.1/callback", "http://127.0.0.1:1/callback"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1:65535/"),
        ("http://127.0.0.1:33418/", "http://127.0.0.1/"),
        ("http://[::1]/cb?x=1", "http://[::1]:8080/cb?x=1"),
        ("http://127.0.0.1:33418", "http://127.0.0.1:5"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback"),
    ],
)
def test_port_of_a_loopback_uri_is_free(registered: str, asked: str) -> None:
    assert is_same_redirect(registered, asked)


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        pytest.param("http://localhost/callback", "http://127.0.0.1:5/callback", id="another loopback host"),
        pytest.param("http://localhost/callback", "http://localhost:5/callback/", id="another path"),
        pytest.param("http://localhost/callback", "http://localhost:5/callback?x", id="query added"),
        pytest.param("http://localhost/callback", "http://localhost:5/callback#x", id="fragment added"),
        pytest.param("http://localhost/callback", "http://localhost:5/x/../callback", id="dot segments"),
        pytest.param("http://localhost/callback", "https://localhost:5/callback", id="another scheme"),
        pytest.param("http://localhost/callback", "http://localhost:5@evil.com/callback", id="userinfo"),
        pytest.param("http://localhost/callback", "http://localhost:65536/callback", id="impossible port"),
        pytest.param("http://localhost/callback", "http://localhost:0/callback", id="port 0"),
        pytest.param("http://localhost/callback", "http://localhost:/callback", id="empty port"),
        pytest.param("http://localhost/callback", "http://localhost:\uff15/callback", id="port in other digits"),
        pytest.param("http://localhost/callback", "http://localhost.evil.com/callback", id="longer host"),
        pytest.param("http://localhost/callback", "HTTP://localhost:5/callback", id="upper case"),
        pytest.param("http://localhost/callback", "http://localhost:5/callback\n", id="newline"),
        pytest.param("http://localhost", "http://localhost.evil.com", id="longer host without a path"),
        pytest.param("http://localhost", "http://localhost:5@evil.com", id="userinfo without a path"),
        pytest.param("https://example.com/cb", "https://example.com:8443/cb", id="port off loopback"),
        pytest.param("https://example.com/", "https://example.com/cb", id="prefix"),
        pytest.param("cursor://x/cb", "cursor://x:1/cb", id="port of a private scheme"),
    ],
)
def test_uri_that_differs_in_more_than_a_loopback_port_is_another_one(registered: str, asked: str) -> None:
    assert not is_same_redirect(registered, asked)
