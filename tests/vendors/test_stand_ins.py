"""The stand-ins refuse what the real vendors refuse, so that a login that works with them proves something."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
import pytest

from postern_crds.sidecar_config import config_hash
from tests.support.policies import make_proxy_config
from tests.support.tokens import SigningPair
from tests.support.vendors import entra, github, google, okta
from tests.support.vendors.entra import Entra
from tests.support.vendors.github import GitHub
from tests.support.vendors.google import Google
from tests.support.vendors.grants import CALLBACK, AuthorizationServer
from tests.support.vendors.okta import Okta
from tests.support.vendors.wire import relocated
from tests.vendors.cases import CASES, Case

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
GUID = "8d9aefa8-8693-45ef-8956-fa6584dfa06f"


class Client:
    """A client of a vendor that may do everything wrong."""

    def __init__(self, vendor: AuthorizationServer, case: Case) -> None:
        self.vendor, self.case = vendor, case

    def authorize(self, **changes: str | None) -> httpx.Response:
        """Asks for a code; None leaves a parameter out."""
        query: dict[str, Any] = {"response_type": "code", "client_id": self.vendor.app.id, "redirect_uri": CALLBACK}
        query |= {"state": "s", "nonce": "n", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        query |= {**self.case.request, **changes}
        given = {name: value for name, value in query.items() if value is not None}
        return httpx.get(self.vendor.at(self.case.authorize), params=given, trust_env=False)

    def code(self, **changes: str | None) -> str:
        """A good code."""
        answer = self.authorize(**changes)
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    def token(self, *, basic: bool | None = None, secret: str | None = None, **form: str | None) -> httpx.Response:
        """Asks for tokens."""
        app = self.vendor.app
        given = {name: value for name, value in form.items() if value is not None}
        headers = {"accept": "application/json"}
        if basic if basic is not None else self.case.authenticates_by == "client_secret_basic":
            pair = f"{quote_plus(app.id)}:{quote_plus(secret or app.secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            given |= {"client_id": app.id, "client_secret": secret or app.secret}
        return httpx.post(self.vendor.at(self.case.token), data=given, headers=headers, trust_env=False)

    def redeem(self, code: str, /, **changes: Any) -> httpx.Response:
        """Brings a code."""
        form: dict[str, Any] = {"grant_type": "authorization_code", "code": code}
        form |= {"redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.token(**{**form, **self.case.exchange, **changes})

    def refresh(self, refresh_token: str, /, **changes: Any) -> httpx.Response:
        """Brings a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.token(**{**form, **self.case.exchange, **changes})


@pytest.fixture
def client(vendor: AuthorizationServer, case: Case) -> Client:
    return Client(vendor, case)


def error(answer: httpx.Response) -> str:
    """The error code of an answer that is none."""
    members = answer.json()
    assert "access_token" not in members
    return str(members.get("error", members.get("errorCode")))


def test_good_login_gives_tokens_once(client: Client) -> None:
    code = client.code()
    tokens = client.redeem(code).json()
    assert tokens["access_token"]
    assert client.refresh(tokens["refresh_token"]).json()["access_token"]
    assert error(client.redeem(code)) in ("invalid_grant", "bad_verification_code")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"code_verifier": "w" * 43}, id="other verifier"),
        pytest.param({"code_verifier": None}, id="no verifier"),
        pytest.param({"redirect_uri": "https://mcp.example.com/other"}, id="other redirect uri"),
        pytest.param({"redirect_uri": None}, id="no redirect uri"),
        pytest.param({"code": "code-nobody-gave"}, id="unknown code"),
        pytest.param({"secret": "wrong"}, id="wrong secret"),
        pytest.param({"grant_type": "password"}, id="other grant"),
    ],
)
def test_bad_token_request_is_refused_and_leaves_the_code(client: Client, changes: dict[str, Any]) -> None:
    code = client.code()
    assert error(client.redeem(code, **changes))
    assert client.redeem(code).json()["access_token"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "nobody"}, id="unknown client"),
        pytest.param({"redirect_uri": "https://evil.example.com/"}, id="redirect uri that is not registered"),
        pytest.param({"code_challenge_method": "plain"}, id="plain"),
        pytest.param({"code_challenge": None}, id="no challenge"),
        pytest.param({"response_type": "token"}, id="token"),
    ],
)
def test_bad_authorization_request_gives_no_code(client: Client, changes: dict[str, Any]) -> None:
    answer = client.authorize(**changes)
    assert "code=" not in answer.headers.get("location", "")
    assert client.vendor.tokens.codes == {}


def test_code_of_another_application_is_refused(client: Client) -> None:
    code = client.code()
    client.vendor.app, client.vendor.other = client.vendor.other, client.vendor.app
    assert error(client.redeem(code)) in ("invalid_grant", "bad_verification_code")


def test_two_ways_to_authenticate_at_once_are_refused(client: Client) -> None:
    assert error(client.redeem(client.code(), basic=True, client_secret=client.vendor.app.secret))


@pytest.mark.parametrize("name", ["okta", "auth0", "workos"])
def test_application_that_authenticates_otherwise_than_registered_is_refused(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        client = Client(vendor, case)
        wrong = case.authenticates_by != "client_secret_basic"
        assert error(client.redeem(client.code(), basic=wrong))


def test_place_of_another_host_is_not_found(client: Client) -> None:
    host, _, path = client.case.token.partition("/")
    assert httpx.post(client.vendor.at(f"other.{host}/{path}"), trust_env=False).status_code == 404


def test_google_gives_no_refresh_token_without_offline_access_nor_at_a_second_login_without_consent(
    pair: SigningPair,
) -> None:
    with Google(pair) as vendor:
        client = Client(vendor, CASES["google"])
        assert "refresh_token" not in client.redeem(client.code(access_type=None)).json()
        assert "refresh_token" in client.redeem(client.code()).json()
        assert "refresh_token" not in client.redeem(client.code(prompt=None)).json()
        page = client.authorize(scope="openid offline_access")
        assert page.status_code == 400
        assert "offline_access" in page.text


def test_google_says_for_which_application_a_token_is_with_numbers_as_texts(pair: SigningPair) -> None:
    with Google(pair) as vendor:
        answer = httpx.get(
            vendor.at(google.TOKENINFO), params={"access_token": vendor.foreign_token("openid")}, trust_env=False
        )
        bad = httpx.get(vendor.at(google.TOKENINFO), params={"access_token": "ya29.x"}, trust_env=False)
    assert answer.json()["aud"] == vendor.other.id
    assert isinstance(answer.json()["exp"], str)
    assert (bad.status_code, bad.json()["error"]) == (400, "invalid_token")


def test_github_answers_with_a_form_unless_json_is_asked_for_and_errors_with_200(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        client = Client(vendor, CASES["github"])
        form = {"client_id": vendor.app.id, "client_secret": vendor.app.secret, "grant_type": "authorization_code"}
        form |= {"code": client.code(), "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        answer = httpx.post(vendor.at(github.TOKEN), data=form, headers={"accept": "*/*"}, trust_env=False)
        bad = client.redeem("x")
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert parse_qs(answer.text)["token_type"] == ["bearer"]
    assert (bad.status_code, bad.json()["error"]) == (200, "bad_verification_code")


def test_github_knows_no_token_of_another_application(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        body = {"access_token": vendor.foreign_token("repo")}
        ours, wrong = (vendor.app.id, vendor.app.secret), (vendor.app.id, "wrong")
        url = vendor.at(vendor.check_place)
        found = [httpx.post(url, json=body, auth=auth, trust_env=False).status_code for auth in (ours, wrong)]
        unnamed = httpx.post(url, json=body, auth=ours, headers={"user-agent": ""}, trust_env=False)
    assert found == [404, 401]
    assert unnamed.status_code == 403


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"resource": "https://mcp.example.com/mcp"}, 9010010, id="resource"),
        pytest.param({"scope": f"api://{GUID}/access_as_user https://graph.microsoft.com/User.Read"}, 28000, id="two"),
        pytest.param({"scope": f"{GUID}/.default api://{GUID}/access_as_user"}, 70011, id="default and another"),
    ],
)
def test_entra_refuses_at_the_token_endpoint(changes: dict[str, str], code: int, pair: SigningPair) -> None:
    with Entra(pair) as vendor:
        client = Client(vendor, CASES["entra"])
        answer = client.redeem(client.code(), **changes)
    assert answer.json()["error_codes"] == [code]


def test_entra_wants_scopes_repeated_for_two_apis_and_for_a_token_for_oneself(pair: SigningPair) -> None:
    with Entra(pair) as vendor:
        client = Client(vendor, CASES["entra"])
        both = f"offline_access api://{GUID}/access_as_user User.Read"
        assert client.redeem(client.code(scope=both), scope=None).json()["error_codes"] == [28003]
        tokens = client.redeem(client.code()).json()
        assert client.refresh(tokens["refresh_token"], scope=None).json()["error_codes"] == [90009]
        assert client.refresh(tokens["refresh_token"]).json()["access_token"]


def test_entra_refuses_resource_and_unknown_scopes_at_the_authorization_endpoint(pair: SigningPair) -> None:
    with Entra(pair) as vendor:
        client = Client(vendor, CASES["entra"])
        page = client.authorize(resource="https://mcp.example.com/mcp")
        unknown = client.authorize(scope="openid mcp:read").headers["location"]
    assert (page.status_code, "AADSTS9010010" in page.text) == (400, True)
    assert "AADSTS650053" in unknown
    assert vendor.asked(entra.TOKEN) == []


def test_okta_takes_a_rotated_refresh_token_for_a_while_and_then_ends_the_login(pair: SigningPair) -> None:
    with Okta(pair) as vendor:
        client = Client(vendor, CASES["okta"])
        old = client.redeem(client.code()).json()["refresh_token"]
        new = client.refresh(old).json()["refresh_token"]
        vendor.ahead_s = 29
        assert client.refresh(old).status_code == 200
        vendor.ahead_s = 31
        assert error(client.refresh(old)) == "invalid_grant"
        assert error(client.refresh(new)) == "invalid_grant"
        assert "invalid_scope" in client.authorize(scope="openid mcp:read").headers["location"]
        assert vendor.asked(okta.AUTHORIZE)[-1].query["scope"] == "openid mcp:read"


def test_relocation_moves_whole_origins_alone_and_seals_again() -> None:
    config = make_proxy_config(issuer={"other_issuers": ("https://sso.example.com.evil", "sso.example.com")})
    moved = relocated(config, {"https://sso.example.com": "http://127.0.0.1:1/sso.example.com"})
    assert moved.issuer.issuer == "http://127.0.0.1:1/sso.example.com"
    assert moved.issuer.metadata_urls[0].startswith("http://127.0.0.1:1/sso.example.com/.well-known/")
    assert moved.issuer.other_issuers == config.issuer.other_issuers
    assert (moved.resource, moved.proxy) == (config.resource, config.proxy)
    assert moved.hash == config_hash(moved) != config.hash
