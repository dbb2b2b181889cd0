"""What the user of this browser agreed to before: this module keeps it in a sealed cookie (``consent: Remember``).

An approval counts for exactly what it was given for: the client, where its codes go, the scopes on both sides and the
resource.
"""

import msgspec
from msgspec import Struct

from postern_sidecar.facade.artefacts import ConsentRequest, fingerprint
from postern_sidecar.facade.messages import FacadeRequest
from postern_sidecar.sealing import Purpose, Seals

__all__ = ["REMEMBER_S", "approval_of", "is_asked_by_user", "is_remembered", "with_approval"]

REMEMBER_S = 30 * 86400
_MAX_APPROVALS = 20
"""Some proxies refuse requests with more than 8 KiB of headers."""


class _Approval(Struct, frozen=True, array_like=True):
    name: str
    """approval_of() it."""
    expires_at: int


def approval_of(asked: ConsentRequest, upstream_scopes: tuple[str, ...]) -> str:
    """Give the name of an approval: others are never mistaken for it."""
    parts = (asked.client_id, asked.redirect_uri, sorted(asked.scopes), sorted(upstream_scopes), asked.resource)
    return fingerprint(msgspec.json.encode(parts).decode())


def is_asked_by_user(request: FacadeRequest) -> bool:
    """Tell whether the user opened this page, not another site: only then may it go on without a question (SPEC 50).

    Browsers that do not say so are not believed, and nothing is decided for a page that is only fetched ahead.
    """
    return (
        request.method == "GET"
        and request.values(b"sec-fetch-site") in ([b"none"], [b"same-origin"])
        and request.values(b"sec-fetch-dest") in ([], [b"document"])
        and not request.values(b"sec-purpose")
        and not request.values(b"purpose")
    )


def is_remembered(cookie: str | None, approval: str, *, seals: Seals, now: float) -> bool:
    """Tell whether the cookie holds this approval, and not for too long."""
    return any(held.name == approval for held in _read(cookie, seals, now))


def with_approval(cookie: str | None, approval: str, *, seals: Seals, now: float) -> str:
    """Give the cookie with this approval; the oldest give way."""
    others = [held for held in _read(cookie, seals, now) if held.name != approval]
    kept = [_Approval(approval, int(now) + REMEMBER_S), *others][:_MAX_APPROVALS]
    return seals.seal(Purpose.REMEMBERED_CONSENT, msgspec.json.encode(kept), now)


def _read(cookie: str | None, seals: Seals, now: float) -> list[_Approval]:
    content = None if cookie is None else seals.open(Purpose.REMEMBERED_CONSENT, cookie)
    if content is None:
        return []
    try:
        held = msgspec.json.decode(content, type=list[_Approval])
    except msgspec.MsgspecError:
        # Of another release: the user is asked again.
        return []
    return [approval for approval in held if approval.expires_at > now]
