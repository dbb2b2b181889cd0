"""The wall clock, as status and key names have it: this module is the only place where passes get their time from."""

from datetime import UTC, datetime

__all__ = ["epoch_seconds", "utc_now"]


def utc_now() -> str:
    """Give the present time as status has it (RFC 3339, seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch_seconds(time: str) -> int:
    """Give such a time in epoch seconds."""
    return int(datetime.fromisoformat(time).timestamp())
