"""What can be wrong with a request to the facade: this module is its one exception, and the statuses of the codes."""

from collections.abc import Mapping
from types import MappingProxyType

from postern_sidecar.errors import SidecarError

__all__ = ["ERROR_CODES", "OAuthFault"]

_STATUSES: Mapping[str, int] = MappingProxyType(
    {
        # RFC 6749 sections 4.1.2.1 and 5.2
        "invalid_request": 400,
        "invalid_client": 401,
        "invalid_grant": 400,
        "invalid_scope": 400,
        "unauthorized_client": 400,
        "unsupported_grant_type": 400,
        "unsupported_response_type": 400,
        "access_denied": 403,
        "server_error": 500,
        "temporarily_unavailable": 503,
        # OpenID Connect Core section 3.1.2.6: only ever on redirects
        "login_required": 400,
        "consent_required": 400,
        "request_not_supported": 400,
        "request_uri_not_supported": 400,
        # RFC 7009 section 2.2.1
        "unsupported_token_type": 400,
        # RFC 7591 section 3.2.2
        "invalid_redirect_uri": 400,
        "invalid_client_metadata": 400,
        # RFC 8707 section 2
        "invalid_target": 400,
        # HTTP alone
        "method_not_allowed": 405,
        "request_timeout": 408,
        "request_too_large": 413,
        "not_found": 404,
    }
)
ERROR_CODES = frozenset(_STATUSES)
_RETRY_S = 5


class OAuthFault(SidecarError):
    """Raised where a request ends; the endpoint decides whether it becomes JSON, a page or a redirect."""

    def __init__(self, error: str, description: str, *, detail: str = "", challenges_basic: bool = False) -> None:
        """Take the OAuth error code, a text for the caller, and a detail for the log alone.

        description: printable ASCII without quotes and backslashes (RFC 6749 section 5.2); never a text of the
        identity provider. challenges_basic: the client tried Basic (RFC 6749 section 5.2).
        """
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.detail = detail
        self.challenges_basic = challenges_basic
        self.status = _STATUSES[error]
        self.retry_after_s = _RETRY_S if self.status == 503 else None
