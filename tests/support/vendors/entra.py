"""Microsoft Entra ID, version 2.0 of the Microsoft identity platform, as documented and as seen.

Sources: learn.microsoft.com/entra/identity-platform, "v2-oauth2-auth-code-flow" (endpoints, parameters), "access-token-
claims-reference" (versions 1.0 and 2.0), "reference-error-codes" (form of errors, codes), "scopes-oidc" (.default with
others: AADSTS70011); resource: AADSTS9010010 in powerbi-modeling-mcp issue 68; scopes of two APIs: AADSTS28003 in
oauth2c issue 130 and AADSTS28000; a token for oneself: AADSTS90009 in IdentityModel issue 528 (without scope) and
angular-auth-oidc-client issue 1844; scopes that exist nowhere: AADSTS650053 in claude-code issue 73460; what is not
echoed in scope: MSAL for Python issue 125.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.tokens import SigningPair, issue
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import Asked, RefusedError, Reply, json_reply, page

__all__ = ["Entra"]

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
HOST = "login.microsoftonline.com"
AUTHORIZE = f"{HOST}/{TENANT}/oauth2/v2.0/authorize"
TOKEN = f"{HOST}/{TENANT}/oauth2/v2.0/token"
KEYS = f"{HOST}/{TENANT}/discovery/v2.0/keys"
METADATA = f"{HOST}/{TENANT}/v2.0/.well-known/openid-configuration"
GRAPH = "00000003-0000-0000-c000-000000000000"
_LIFE_S = 3599
_OPENID = frozenset(("openid", "profile", "email", "offline_access"))
_GRAPH_SCOPES = frozenset(("User.Read",))
_WORDS: Mapping[Fault, tuple[int, str, int, str]] = {
    Fault.UNKNOWN_CLIENT: (400, "unauthorized_client", 700016, "Application was not found in the directory."),
    Fault.WRONG_SECRET: (
        401,
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret is not id.",
    ),
    Fault.WRONG_METHOD: (401, "invalid_client", 7000218, "The request body must contain client_secret."),
    Fault.BAD_CODE: (400, "invalid_grant", 70008, "The provided authorization code has expired."),
    Fault.USED_CODE: (400, "invalid_grant", 54005, "OAuth2 Authorization code was already redeemed."),
    Fault.BAD_REDIRECT: (400, "invalid_grant", 500112, "The reply address does not match."),
    Fault.BAD_VERIFIER: (400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge."),
    Fault.BAD_REFRESH_TOKEN: (400, "invalid_grant", 50173, "The provided grant has expired due to it being revoked."),
    Fault.BAD_GRANT_TYPE: (400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."),
    Fault.BAD_REQUEST: (400, "invalid_request", 900144, "The request body must contain the parameter: 'scope'."),
}


class Entra(AuthorizationServer):
    """One tenant; our application is client and API at once."""

    hosts = (HOST, "sts.windows.net")

    def __init__(self, pair: SigningPair, *, token_version: int = 2) -> None:
        """token_version: requestedAccessTokenVersion of the API's manifest."""
        ours = App("8d9aefa8-8693-45ef-8956-fa6584dfa06f", "Abc8Q~secret+of%entra")
        super().__init__(pair, ours, App("11111111-2222-3333-4444-555555555555", "other"))
        self.rotates = True
        self.token_version = token_version
        self.api_uri = f"api://{self.app.id}"
        """Application ID URI."""
        self.api_scopes = ("access_as_user", "weather.write")
        self.user = {"oid": "0f00", "sub": "pairwise-AAA", "name": "Alice Example"}
        self.username = "alice@example.com"
        self.roles = ("Forecaster",)
        self.demands: str | None = None
        """Error of each refresh, when a policy of the tenant wants the user."""
        self.routes = {
            ("GET", METADATA): self._metadata,
            ("GET", KEYS): lambda _: json_reply(200, {"keys": [pair.jwk(alg=None)]}),
            ("GET", AUTHORIZE): self.authorize,
            ("POST", TOKEN): self.token,
        }

    def fault(self, fault: Fault) -> Reply:
        status, error, code, text = _WORDS[fault]
        return self._error(error, code, text, status=status)

    def check_authorization(self, query: Mapping[str, str]) -> None:
        if "resource" in query:
            raise RefusedError(page(400, f"AADSTS9010010: {_RESOURCE}"))
        if not query.get("scope"):
            raise self.send_back(query, "invalid_request", "AADSTS900144: scope is missing.")
        self._require_known(query)

    def check_token_request(self, login: Login, form: Mapping[str, str]) -> None:
        if "resource" in form:
            raise RefusedError(self._error("invalid_target", 9010010, _RESOURCE))
        if "refresh_token" in form and self.demands:
            raise RefusedError(self._error(self.demands, 50076, "You must use multi-factor authentication."))
        asked = form.get("scope", "").split()
        targets = {resource for scope in asked if (resource := self._resource(scope)[0])}
        if len(targets) > 1:
            raise RefusedError(self._error("invalid_scope", 28000, "The scope contains more than one resource."))
        agreed = {resource for scope in login.scopes if (resource := self._resource(scope)[0])}
        if not targets and len(agreed) > 1:
            raise RefusedError(self._error("invalid_request", 28003, "The scope cannot be empty."))
        if "refresh_token" in form and not targets and self.app.id in agreed and self._names_uri(login):
            raise RefusedError(self._error("invalid_request", 90009, "is requesting a token for itself."))
        names = [self._resource(scope)[1] for scope in asked if self._resource(scope)[0]]
        if ".default" in names and len(names) > 1:
            raise RefusedError(self._error("invalid_scope", 70011, ".default cannot be combined with other scopes."))

    def gives_refresh_token(self, login: Login) -> bool:
        return "offline_access" in login.scopes

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        wanted = form["scope"].split() if form.get("scope") else login.scopes
        spelled = [scope for scope in wanted if self._resource(scope)[0]]
        names = [self._resource(scope)[1] for scope in spelled]
        resource = self._resource(spelled[0])[0] if spelled else GRAPH
        if ".default" in names:
            prefix = spelled[0].removesuffix(".default")
            names = list(self.api_scopes)
            spelled = [prefix + name for name in names]
        access_token = self._access_token(login, resource, names)
        self.remember(access_token, login)
        members = {"token_type": "Bearer", "expires_in": _LIFE_S, "ext_expires_in": _LIFE_S}
        # Those of OpenID Connect are named for Microsoft Graph alone.
        members |= {"scope": " ".join(spelled or login.scopes), "access_token": access_token}
        if "openid" in wanted:
            claims = {"iss": self.at(f"{HOST}/{TENANT}/v2.0"), "tid": TENANT, "ver": "2.0", **self.user}
            claims |= {"preferred_username": self.username, "rh": "0.A", "uti": secrets.token_hex(4)}
            members["id_token"] = self.id_token(login, claims, access_token)
        return members

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        return json_reply(200, members)

    def foreign_api_token(self) -> str:
        """A token that our application got for another API of the tenant."""
        return self._access_token(Login(self.app, {}, (), self.now()), "99999999-aaaa", ["access_as_user"])

    def _access_token(self, login: Login, resource: str, names: list[str]) -> str:
        now = int(self.now())
        claims = {"iat": now, "nbf": now, "exp": now + _LIFE_S, "tid": TENANT, **self.user, "scp": " ".join(names)}
        # A user gives another application a token for that application's own API.
        target = resource if login.app is self.app else login.app.id
        claims |= {"roles": list(self.roles), "uti": secrets.token_hex(4), "rh": "0.A"}
        if resource == GRAPH:
            # Graph's tokens are for Graph: their signature cannot be verified by others.
            token = issue(self.pair, {**claims, "aud": GRAPH, "iss": self._v1(), "ver": "1.0"}, typ="JWT", nonce="x")
            return token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        if self.token_version == 1:
            v1 = {"aud": f"api://{target}", "iss": self._v1(), "appid": login.app.id, "appidacr": "1", "ver": "1.0"}
            return issue(self.pair, {**claims, **v1, "upn": self.username, "unique_name": self.username}, typ="JWT")
        v2 = {"aud": target, "iss": self.at(f"{HOST}/{TENANT}/v2.0"), "azp": login.app.id, "azpacr": "1", "ver": "2.0"}
        return issue(self.pair, {**claims, **v2, "preferred_username": self.username}, typ="JWT")

    def _v1(self) -> str:
        return self.at(f"sts.windows.net/{TENANT}/")

    def _resource(self, scope: str) -> tuple[str, str]:
        """The id of the API that a scope is of, and its name there; both empty for OpenID Connect's own."""
        if scope in _OPENID:
            return "", ""
        uri, _, name = scope.rpartition("/")
        if uri in (self.app.id, f"api://{self.app.id}", self.api_uri):
            return self.app.id, name
        return (GRAPH, name) if uri in ("", "https://graph.microsoft.com") else (uri, name)

    def _names_uri(self, login: Login) -> bool:
        return any("://" in scope for scope in login.scopes)

    def _require_known(self, query: Mapping[str, str]) -> None:
        for scope in query["scope"].split():
            resource, name = self._resource(scope)
            if resource == GRAPH and name not in _GRAPH_SCOPES:
                text = f"AADSTS650053: asked for scope '{name}' that doesn't exist on the resource '{GRAPH}'."
                raise self.send_back(query, "invalid_client", text)
            if resource == self.app.id and name not in (*self.api_scopes, ".default"):
                raise self.send_back(query, "invalid_client", f"AADSTS650053: scope '{name}' doesn't exist.")
            if resource not in ("", GRAPH, self.app.id):
                raise self.send_back(query, "invalid_resource", f"AADSTS500011: {resource} was not found.")

    def _error(self, error: str, code: int, text: str, *, status: int = 400) -> Reply:
        trace = secrets.token_hex(8)
        members = {"error": error, "error_codes": [code], "trace_id": trace, "correlation_id": trace}
        description = f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {trace}"
        return json_reply(status, {**members, "error_description": description, "timestamp": "2026-01-01 00:00:00Z"})

    def _metadata(self, _: Asked) -> Reply:
        # It says nothing of PKCE, which it has, and has no endpoint for revocation.
        return json_reply(
            200,
            {
                "issuer": self.at(f"{HOST}/{TENANT}/v2.0"),
                "authorization_endpoint": self.at(AUTHORIZE),
                "token_endpoint": self.at(TOKEN),
                "jwks_uri": self.at(KEYS),
                "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            },
        )


_RESOURCE = "The resource parameter provided in the request doesn't match with the requested scopes."
