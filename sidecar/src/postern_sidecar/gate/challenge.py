"""How a client learns what it needs: this module builds WWW-Authenticate (RFC 6750 section 3, RFC 9728 section 5.1).

One challenge, Bearer first, nothing escaped: SDKs read it with a regular expression (SPEC 32). It is the only place
where challenges are built, so that none lacks resource_metadata.
"""

import re
from collections.abc import Sequence

from postern_sidecar.outcome import Reason, verdict

__all__ = ["challenge"]

_UNQUOTABLE = re.compile(r"[^\x21\x23-\x5B\x5D-\x7E]")
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def challenge(reason: Reason, metadata_url: str, scopes: Sequence[str]) -> bytes:
    """Give the header's value. scopes: what the client should ask for; none: not stated.

    Without credentials no error is named (RFC 6750 section 3.1). The URL comes last: it may contain anything that looks
    like a parameter, and readers take the first match.
    """
    parameters: list[str] = []
    _, _, error, text = verdict(reason)
    if error is not None:
        parameters += [f'error="{error}"', f'error_description="{text}"']
    wanted = " ".join(scope for scope in scopes if _SCOPE.fullmatch(scope))
    if wanted:
        parameters.append(f'scope="{wanted}"')
    parameters.append(f'resource_metadata="{_UNQUOTABLE.sub(_percent, metadata_url)}"')
    return f"Bearer {', '.join(parameters)}".encode()


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode())
