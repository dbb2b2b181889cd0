"""The errors of the operator: each says what is wrong, where, and what to do."""

__all__ = ["ClusterError", "ClusterUnavailable", "Conflict", "PosternError", "SettingsError"]


class PosternError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(PosternError):
    """Raised at start when an environment variable is missing or wrong; exit code 2."""


class ClusterError(PosternError):
    """Raised when the API server answered a call with a refusal that a retry does not cure (4xx)."""


class Conflict(ClusterError):
    """Raised when the object changed meanwhile (409): read again and retry at once."""


class ClusterUnavailable(PosternError):
    """Raised when the API server did not answer, or with 429 or 5xx: retry with back-off."""
