"""A TLS context that takes a renewed certificate while it serves: this module is that context and its reload."""

import ssl
from pathlib import Path

__all__ = ["LiveCertificate"]

_FILES = ("tls.crt", "tls.key")


class LiveCertificate:
    """The pair tls.crt and tls.key of a directory, as mounted from a Secret.

    Each handshake is handed to the newest context that loaded whole. A context in use is never changed, so a torn or
    mismatched pair cannot break serving.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._content: tuple[bytes, ...] = ()
        self._current: ssl.SSLContext | None = None

    def load(self) -> bool:
        """Take the pair if it changed; tell whether it did. Blocks on files: run it in a thread.

        Raises OSError (also ssl.SSLError) when the pair is absent, torn or mismatched; the former one stays in use.
        """
        # The kubelet swaps the whole directory behind a symbolic link: resolved once, both files are of one version.
        certificate, key = (self._directory.joinpath(name).resolve(strict=True) for name in _FILES)
        content = (certificate.read_bytes(), key.read_bytes())
        if content == self._content:
            return False
        context = _server_context()
        context.load_cert_chain(certificate, key)
        self._current, self._content = context, content
        return True

    @property
    def certificate(self) -> bytes:
        """The certificate in use, DER; what a handshake should show. Empty before the first load."""
        if not self._content:
            return b""
        first, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        text = self._content[0].decode("latin-1")  # text beside the blocks is anybody's
        return ssl.PEM_cert_to_DER_cert(text[text.index(first) : text.index(end) + len(end)])

    def context(self) -> ssl.SSLContext:
        """Give the context to listen with; it asks for the newest pair at each handshake."""
        context = _server_context()
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Tickets would resume sessions of a certificate that is gone.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context
