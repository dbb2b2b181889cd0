"""The forms of an HTML page, as a browser would submit them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

UNSENT_TYPES = frozenset({"checkbox", "radio", "button", "reset", "file", "image"})


@dataclass(slots=True)
class Form:
    """One form: ``fields`` with their present values, ``buttons`` as pairs of name and value."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    passwords: list[str] = field(default_factory=list)
    """Names of the fields that hide what is typed."""
    buttons: list[tuple[str, str]] = field(default_factory=list)


def forms_of(page: str) -> list[Form]:
    """All forms, in the page's order."""
    parser = _Parser()
    parser.feed(page)
    return parser.forms


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
        elif self.forms and tag in ("input", "button") and given.get("name"):
            _add(self.forms[-1], given, kind=given.get("type", "text" if tag == "input" else "submit"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


def _add(form: Form, given: dict[str, str], *, kind: str) -> None:
    name, value = given["name"], given.get("value", "")
    if kind == "submit":
        form.buttons.append((name, value))
    elif kind not in UNSENT_TYPES:
        form.fields[name] = value
        if kind == "password":
            form.passwords.append(name)
