"""Time that passes when a test says so."""

__all__ = ["ManualTime"]


class ManualTime:
    """Seconds since an arbitrary start; call it to read it."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
