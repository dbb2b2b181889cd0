"""Debian's Chromium, driven by Playwright: no browser is downloaded, and nothing but this machine is reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.images.errors import SetupError

PROGRAM = Path("/usr/bin/chromium")
PATIENCE_MS = 15_000
"""For every wait of a test; a browser on a busy machine takes seconds for its first page."""
_OWN_NAMES = ("*.test",)
"""Names that lead to this machine. ``.test`` is never delegated (RFC 2606)."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window, until the end of the block. ``SetupError`` when it is not installed."""
    if not PROGRAM.exists():
        raise SetupError(f"{PROGRAM} is missing: make test-browser installs Debian's package")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=_arguments())
        try:
            yield browser
        finally:
            browser.close()


def _arguments() -> list[str]:
    names = [*(f"MAP {name} 127.0.0.1" for name in _OWN_NAMES), "MAP * ~NOTFOUND"]
    rules = ", ".join([*names, "EXCLUDE 127.0.0.1", "EXCLUDE localhost"])
    return [
        f"--host-resolver-rules={rules}",
        # Root's browser has no sandbox to go into, and containers have a small /dev/shm.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
    ]
