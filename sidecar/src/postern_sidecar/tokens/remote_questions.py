"""How a token is asked about: this module is one question for each kind of endpoint, and what its statuses mean."""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from postern_crds.sidecar_config import RemoteVerification
from postern_sidecar.idp.client import Answer, IdpClient
from postern_sidecar.idp.endpoints import Endpoint
from postern_sidecar.tokens.remote_answers import (
    AnswerReader,
    read_app_token,
    read_introspection,
    read_tokeninfo,
    read_userinfo,
)

__all__ = ["Question", "question_for"]

_TOKEN_ERRORS = frozenset(("invalid_token", "insufficient_scope"))
"""RFC 6750 section 3.1."""


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of question, asked with our credentials where it takes any."""

    ask: Callable[[IdpClient, str, str], Awaitable[Answer]]
    """Sends it: client, URL, token. Raises IdpError. The token is never part of a URL, since those are logged."""
    read: AnswerReader
    """Reads an answer of status 200."""
    is_about_token: Callable[[int, Mapping[str, Any]], bool]
    """Whether a status, with its JSON body, says that the token is bad."""
    endpoint: Endpoint | None
    """Where to ask when the policy does not say; None: it must."""
    authenticates: bool
    """Whether a 401 is about our credentials."""
    client_id: str

    def url(self, template: str) -> str:
        """Give the URL with our client id in its place."""
        return template.replace("{client_id}", quote(self.client_id, safe=""))


def question_for(remote: RemoteVerification, secret: str | None) -> Question:
    """Give the question of a policy."""
    match remote.kind:
        case "Introspection":
            return _introspection(remote, secret)
        case "Userinfo":
            return Question(_ask_userinfo, read_userinfo, _is_refusal, Endpoint.USERINFO, False, remote.client_id)
        case "Tokeninfo":
            return Question(_ask_tokeninfo, read_tokeninfo, _is_bad_request, None, False, remote.client_id)
        case "AppToken":
            return _app_token(remote, secret)


def _introspection(remote: RemoteVerification, secret: str | None) -> Question:
    """RFC 7662 section 2.1: every token gets a 200; any other status is about us."""
    headers: dict[str, str] = {}
    credentials: dict[str, str] = {}
    if remote.auth_method == "client_secret_basic" and secret is not None:
        # RFC 6749 section 2.3.1: both are form-encoded first.
        headers["authorization"] = _basic(quote_plus(remote.client_id), quote_plus(secret))
    elif remote.client_id:
        credentials["client_id"] = remote.client_id
        if secret is not None:
            credentials["client_secret"] = secret

    async def ask(client: IdpClient, url: str, token: str) -> Answer:
        form = {"token": token, "token_type_hint": "access_token", **credentials}
        return await client.post(url, form, headers=headers)

    return Question(ask, read_introspection, _never, Endpoint.INTROSPECTION, True, remote.client_id)


def _app_token(remote: RemoteVerification, secret: str | None) -> Question:
    """GitHub's REST API, "Check a token": 404 and 422 say that the token is none of this application."""
    headers = {
        "authorization": _basic(remote.client_id, secret or ""),
        "accept": "application/vnd.github+json",
        "content-type": "application/json",
    }

    async def ask(client: IdpClient, url: str, token: str) -> Answer:
        return await client.send("POST", url, headers=headers, body=json.dumps({"access_token": token}).encode())

    return Question(ask, read_app_token, _is_unknown, None, True, remote.client_id)


async def _ask_userinfo(client: IdpClient, url: str, token: str) -> Answer:
    return await client.send("GET", url, headers={"authorization": f"Bearer {token}"})


async def _ask_tokeninfo(client: IdpClient, url: str, token: str) -> Answer:
    return await client.post(url, {"access_token": token})


def _never(_: int, __: Mapping[str, Any]) -> bool:
    return False


def _is_refusal(status: int, body: Mapping[str, Any]) -> bool:
    # 400 and 403 are also what gateways and limits answer with, so they must name the error of RFC 6750.
    return status == 401 or (status in (400, 403) and body.get("error") in _TOKEN_ERRORS)


def _is_bad_request(status: int, body: Mapping[str, Any]) -> bool:
    return status in (400, 401) and ("error" in body or "error_description" in body)


def _is_unknown(status: int, body: Mapping[str, Any]) -> bool:
    return status in (404, 422) and "message" in body


def _basic(name: str, secret: str) -> str:
    return "Basic " + b64encode(f"{name}:{secret}".encode()).decode()
