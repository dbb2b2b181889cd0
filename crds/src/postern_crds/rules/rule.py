"""What a rule is, and the kinds of rule that occur often."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["HOST", "LOOPBACK", "Rule", "lacking", "matching", "one_of", "url_rules"]


class Rule(NamedTuple):
    """One rule at one place of the object."""

    path: str
    """Dotted place of the value it judges: '' the whole object, 'spec.resource.url' that value, where present."""
    expression: str
    """CEL; ``self`` is the value."""
    message: str
    holds: Callable[[Any], bool] | None
    """The same decision on plain data with defaults filled in; None for a rule on change (``oldSelf``)."""


def matching(path: str, pattern: str, message: str) -> Rule:
    """Give the rule that a text matches a pattern, in what RE2 and re have in common."""
    return Rule(path, f"self.matches(r'{pattern}')", message, lambda v: re.search(pattern, v, re.ASCII) is not None)


def lacking(path: str, pattern: str, message: str) -> Rule:
    """Give the rule that a text does not match a pattern."""
    return Rule(path, f"!self.matches(r'{pattern}')", message, lambda v: re.search(pattern, v, re.ASCII) is None)


LOOPBACK = r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/|$)"
HOST = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"


def url_rules(path: str, *, slash: bool) -> list[Rule]:
    """Rules of a URL at the identity provider; slash tells whether it may end in one."""
    rules = [
        matching(
            path,
            f"^(https://|{LOOPBACK})",
            "must start with https:// (http:// only for localhost, 127.0.0.1 and [::1])",
        ),
        matching(
            path,
            f"^https?://{HOST}(/[!-~]*)?$",
            "must be an absolute URL with a lower-case host, without user or password",
        ),
        lacking(path, "[?#]", "must have no query and no fragment: remove everything from '?' or '#' on"),
    ]
    return rules if slash else [*rules, lacking(path, "/$", "must not end in a slash: remove it")]


def one_of(path: str, members: tuple[str, ...], message: str) -> Rule:
    """Give the rule that exactly one member is there."""
    listed = ", ".join(f"has(self.{m})" for m in members)
    return Rule(
        path, f"[{listed}].exists_one(x, x)", message, lambda v: sum(v.get(m) is not None for m in members) == 1
    )
