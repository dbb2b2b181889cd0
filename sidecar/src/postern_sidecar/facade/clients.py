"""Who asks: this module finds the client of a client_id: registered, described by a document, or in the policy."""

from dataclasses import dataclass
from typing import Literal

from postern_crds.sidecar_config import ClientConfig, ProxyConfig, SidecarConfig
from postern_sidecar.facade.artefacts import Registration, fingerprint, open_as
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.redirect_uris import is_same_redirect, refusal
from postern_sidecar.sealing import Seals

__all__ = ["Client", "Clients"]

_UNKNOWN = "The client is not known here. Register it again."


@dataclass(frozen=True, slots=True)
class Client:
    """A client, with what it may do under the policy in force."""

    id: str
    fingerprint: str
    """fingerprint() of the id: what names the client inside sealed texts."""
    name: str
    """As the client calls itself, unverified; may be empty."""
    redirect_uris: tuple[str, ...]
    """Never empty."""
    auth_method: str
    """none, client_secret_post or client_secret_basic."""
    kind: Literal["dynamic", "document", "configured"]
    grant_types: tuple[str, ...]

    def allows_redirect(self, uri: str) -> bool:
        """Whether codes may be sent there: exactly a registered URI, on loopback with any port (RFC 8252 7.3)."""
        return any(is_same_redirect(registered, uri) for registered in self.redirect_uris)


class Clients:
    """All clients of one policy. None of them is stored: a registration is sealed into its client_id."""

    def __init__(self, config: SidecarConfig, seals: Seals, documents: Documents) -> None:
        """Take a policy in mode Proxy, the seals of its issuer, and where documents come from."""
        if config.proxy is None:
            raise ValueError("there are clients in mode Proxy alone")
        self._proxy = config.proxy
        self._seals = seals
        self._documents = documents
        self._configured = {client.id: _configured(client, config.proxy) for client in config.proxy.clients}

    async def find(self, client_id: str, now: float) -> Client:
        """Give the client; now is in epoch seconds.

        Raises OAuthFault invalid_client when there is none (SPEC 57), and temporarily_unavailable when its document
        cannot be fetched for now. What the policy forbids today is forbidden, whatever it allowed at registration.
        """
        client = self._configured.get(client_id)
        if client is None and client_id.startswith("https://"):
            return await self._find_document(client_id, now)
        client = client or self._find_registered(client_id)
        if client is None:
            raise OAuthFault("invalid_client", _UNKNOWN)
        return client

    def _find_registered(self, client_id: str) -> Client | None:
        if not self._proxy.registration.dynamic:
            return None
        registration = open_as(self._seals, Registration, client_id)
        if registration is None:
            return None
        return Client(
            id=client_id,
            fingerprint=fingerprint(client_id),
            name=registration.name,
            redirect_uris=self._allowed(registration.redirect_uris),
            auth_method=registration.auth_method,
            kind="dynamic",
            grant_types=self._granted(registration.grant_types),
        )

    async def _find_document(self, client_id: str, now: float) -> Client:
        if not self._proxy.registration.metadata_documents:
            raise OAuthFault("invalid_client", "Metadata documents of clients are not accepted here.")
        document = await self._documents.get(client_id, now)
        return Client(
            id=client_id,
            fingerprint=fingerprint(client_id),
            name=document.name,
            redirect_uris=self._allowed(document.redirect_uris),
            auth_method="none",
            kind="document",
            grant_types=self._granted(document.grant_types),
        )

    def _allowed(self, redirect_uris: tuple[str, ...]) -> tuple[str, ...]:
        allowed = tuple(uri for uri in redirect_uris if refusal(uri, self._proxy.registration) is None)
        if not allowed:
            raise OAuthFault("invalid_client", "None of the redirect URIs of the client is allowed here.")
        return allowed

    def _granted(self, grant_types: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(kind for kind in self._proxy.grant_types if kind in grant_types)


def _configured(client: ClientConfig, proxy: ProxyConfig) -> Client:
    return Client(
        id=client.id,
        fingerprint=fingerprint(client.id),
        name=client.name or client.id,
        redirect_uris=client.redirect_uris,
        auth_method="none",
        kind="configured",
        grant_types=proxy.grant_types,
    )
