"""What the issuer says of itself: this module finds and checks its metadata (RFC 8414, OpenID Connect Discovery)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_config import IssuerConfig
from postern_sidecar.errors import CaUnavailable, IdpError, IdpUnreachable, MalformedDocument
from postern_sidecar.idp.client import IdpClient, Page, explain
from postern_sidecar.idp.refreshed import Loaded
from postern_sidecar.strict_json import read_object

__all__ = ["Metadata", "load_metadata", "read_metadata"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of the configured issuer."""

    issuer: str
    """As the document spells it: this is the issuer's name, byte for byte (RFC 8414 section 3.3)."""
    raw: bytes
    """The document as it came, for clients that ask us for it."""
    endpoints: Mapping[str, str]
    """Its members ``…_endpoint`` that are strings, by their full names."""
    jwks_uri: str | None
    registration: bool
    """Offers dynamic client registration (RFC 7591)."""
    metadata_documents: bool
    """Accepts client ID metadata documents."""
    iss_parameter: bool
    """Sends iss on redirects (RFC 9207)."""
    pkce: bool
    """Advertises PKCE with S256; clients must refuse without (SPEC 22)."""


async def load_metadata(client: IdpClient, config: IssuerConfig) -> Loaded[Metadata]:
    """Try the configured locations in order. Raises IdpError that names what each of them said.

    A refusal, a page for people or another issuer's document sends us to the next location; an outage does not, since
    the location that is down may be the right one.
    """
    tried: list[str] = []
    for url in config.metadata_urls:
        try:
            page = await client.get(url)
            return Loaded(read_metadata(page, config.issuer), page.max_age_s)
        except (IdpUnreachable, CaUnavailable):
            raise
        except IdpError as error:
            tried.append(str(error))
    raise MalformedDocument(f"no metadata of issuer {config.issuer}: {'; '.join(tried) or 'no location is known'}")


def read_metadata(page: Page, issuer: str) -> Metadata:
    """Read a document that must be of this issuer. Raises MalformedDocument.

    The names must be equal byte for byte (SPEC 17). One trailing slash is forgiven, because users type it or leave it
    out; the document's spelling then is the issuer's name.
    """
    try:
        document = read_object(page.body)
    except ValueError as error:
        raise explain(page, error) from error
    stated = document.get("issuer")
    if not isinstance(stated, str) or not _is_same_issuer(stated, issuer):
        raise MalformedDocument(f"the document at {page.url} is of issuer {stated!r}, not of {issuer!r}")
    jwks_uri = document.get("jwks_uri")
    return Metadata(
        issuer=stated,
        raw=page.body,
        endpoints={
            name: value for name, value in document.items() if name.endswith("_endpoint") and isinstance(value, str)
        },
        jwks_uri=jwks_uri if isinstance(jwks_uri, str) else None,
        registration=isinstance(document.get("registration_endpoint"), str),
        metadata_documents=document.get("client_id_metadata_document_supported") is True,
        iss_parameter=document.get("authorization_response_iss_parameter_supported") is True,
        pkce="S256" in _items(document.get("code_challenge_methods_supported")),
    )


def _is_same_issuer(stated: str, configured: str) -> bool:
    return stated == configured or stated + "/" == configured or stated == configured + "/"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
