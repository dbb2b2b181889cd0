"""What can happen at the facade: this module is the closed set of names that label its metrics."""

from postern_sidecar.facade.faults import ERROR_CODES

__all__ = ["EVENTS", "OTHER_EVENT"]

EVENTS = ERROR_CODES | frozenset(
    (
        "served",
        "preflight",
        "consent_asked",
        "login_begun",
        "code_issued",
        "issued",
        "refreshed",
        "registered",
        "revoked",
        "refused",
        "foreign_browser",
        "wrong_issuer",
        "forged_consent",
        "expired",
    )
)
OTHER_EVENT = "other"
"""For a name that is not among them, so that the set stays closed whatever an endpoint says."""
