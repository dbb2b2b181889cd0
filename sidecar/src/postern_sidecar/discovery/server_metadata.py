"""What old clients are told of the authorization server: this module hands out the issuer's own document.

Clients of 2025-03-26 and those that find no protected resource metadata look for it at the resource's origin (SPEC 21).
It is the document as it came; issuer and endpoints in it are the identity provider's.
"""

from postern_sidecar.errors import IdpError
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed
from postern_sidecar.outcome import Unavailable

__all__ = ["server_metadata"]


async def server_metadata(metadata: Refreshed[Metadata]) -> bytes | Unavailable:
    """Give the document, fetched at most once per cool-down however many ask."""
    try:
        return (await metadata.get()).raw
    except IdpError as error:
        return Unavailable(error.reason)
