"""Where does the identity provider do what? This module answers from the policy, else from the issuer's metadata."""

from enum import StrEnum

import msgspec

from postern_crds.sidecar_config import IssuerConfig
from postern_sidecar.errors import MalformedDocument
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed

__all__ = ["Endpoint", "Endpoints"]


class Endpoint(StrEnum):
    """The kinds of endpoint, by their names in IssuerConfig.endpoints."""

    AUTHORIZATION = "authorization"
    TOKEN = "token"  # noqa: S105 - a name
    USERINFO = "userinfo"
    INTROSPECTION = "introspection"
    REVOCATION = "revocation"


class Endpoints:
    """The endpoints of one issuer."""

    def __init__(self, config: IssuerConfig, metadata: Refreshed[Metadata]) -> None:
        self._configured: dict[str, str | None] = msgspec.structs.asdict(config.endpoints)
        self._has_metadata = bool(config.metadata_urls)
        self._metadata = metadata

    async def find(self, endpoint: Endpoint) -> str | None:
        """Give its URL; None: the issuer has none. Raises IdpError when the metadata cannot be had."""
        configured = self._configured[endpoint.value]
        if configured is not None or not self._has_metadata:
            return configured
        return (await self._metadata.get()).endpoints.get(f"{endpoint.value}_endpoint")

    async def require(self, endpoint: Endpoint) -> str:
        """Give its URL. Raises IdpError also when the issuer has none."""
        url = await self.find(endpoint)
        if url is None:
            raise MalformedDocument(f"the issuer's metadata names no {endpoint.value}_endpoint: give it in the policy")
        return url
