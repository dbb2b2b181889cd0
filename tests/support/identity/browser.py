"""A person with a browser, scripted: follows redirects, logs in, gives consent, stops at the redirect URI."""

from dataclasses import dataclass, field

import httpx2

from tests.support.identity.forms import Form, forms_of
from tests.support.identity.network import Listener, Network

MAX_PAGES = 25
USER_FIELDS = frozenset({"username", "login", "email", "user"})
DENYING = frozenset({"no", "cancel", "deny", "reject"})


class LoginRefused(Exception):
    """The identity provider asked for the password again."""


class UnexpectedPage(Exception):
    """A page that is neither a redirect nor a form: an error page, mostly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedBrowser:
    """Who sits in front of it; every ``open`` is a new private window."""

    network: Network = field(default_factory=Network)
    username: str = "alice"
    password: str = "alice-pw"
    allows: bool = True
    """What is answered on the consent page."""
    on_exchange: Listener | None = None

    async def open(self, url: str, *, redirect_uri: str) -> dict[str, str]:
        """Goes to ``url`` and on until ``redirect_uri``, whose parameters (code, state, iss, error) it gives back.

        ``LoginRefused`` for a wrong password, ``UnexpectedPage`` when there is nothing to click.
        """
        async with self.network.client(on_exchange=self.on_exchange) as client:
            response = await client.get(url)
            has_typed = False
            for _ in range(MAX_PAGES):
                if response.is_redirect:
                    target = response.url.join(response.headers["location"])
                    if _is_at(target, redirect_uri):
                        return dict(target.params)
                    response = await client.get(target)
                    continue
                form = _first_form(response)
                if form.passwords and has_typed:
                    raise LoginRefused(f"{response.url.host} refused user {self.username}")
                has_typed = has_typed or bool(form.passwords)
                response = await client.post(response.url.join(form.action), data=self._filled(form))
        raise UnexpectedPage(f"{MAX_PAGES} pages and no end, the last was {response.url.copy_with(query=None)}")

    def _filled(self, form: Form) -> dict[str, str]:
        data = dict(form.fields)
        if form.passwords:
            data |= dict.fromkeys(form.passwords, self.password)
            data |= {name: self.username for name in data if name.lower() in USER_FIELDS}
        chosen = [(name, value) for name, value in form.buttons if _denies(name, value) is not self.allows]
        return data | dict(chosen[:1])


def _denies(name: str, value: str) -> bool:
    return name.lower() in DENYING or value.lower() in DENYING


def _is_at(url: httpx2.URL, redirect_uri: str) -> bool:
    return url.copy_with(query=None, fragment=None) == httpx2.URL(redirect_uri)


def _first_form(response: httpx2.Response) -> Form:
    form = next((form for form in forms_of(response.text) if form.method == "post"), None)
    if form is None:
        where = response.url.copy_with(query=None)
        raise UnexpectedPage(f"{where} answered {response.status_code} without a form: {response.text[:300]}")
    return form
