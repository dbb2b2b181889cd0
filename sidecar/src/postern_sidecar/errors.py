"""The errors of the sidecar: each says what is wrong, where, and what to do."""

from postern_sidecar.outcome import Reason

__all__ = [
    "CaUnavailable",
    "IdpError",
    "IdpRefused",
    "IdpUnreachable",
    "KeysUnavailable",
    "MalformedDocument",
    "PolicyError",
    "SettingsError",
    "SidecarError",
]


class SidecarError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(SidecarError):
    """Raised at start when an option or environment variable is missing or wrong; exit code 2."""


class PolicyError(SidecarError):
    """Raised when the policy file is missing, torn or not understood; requests get 503 until there is a good one."""


class IdpError(SidecarError):
    """Base of what goes wrong between us and the identity provider; it never makes a token bad."""

    reason = Reason.METADATA_UNAVAILABLE


class IdpUnreachable(IdpError):
    """Raised when the identity provider did not answer in time, or with 429 or 5xx."""


class IdpRefused(IdpError):
    """Raised when the identity provider answered with a status other than 200 that a retry does not cure."""


class MalformedDocument(IdpError):
    """Raised when an answer is too large, not JSON, of a wrong shape, or of another issuer."""


class KeysUnavailable(IdpError):
    """Raised when the signing keys cannot be fetched, or none of them is usable."""

    reason = Reason.KEYS_UNAVAILABLE


class CaUnavailable(IdpError):
    """Raised when the policy names a caBundle that is absent or holds no certificate."""

    reason = Reason.CA_UNAVAILABLE
