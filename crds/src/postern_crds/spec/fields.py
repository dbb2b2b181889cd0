"""What the parts of a policy are made of: this module is the common model and the types of single fields."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "Algorithm",
    "ApplicationIdUri",
    "AudienceList",
    "ClaimName",
    "ClientId",
    "DomainName",
    "HostValue",
    "Model",
    "Path",
    "PortNumber",
    "ProjectReference",
    "Quantity",
    "RedirectUri",
    "ScopeList",
    "ScopeToken",
    "Text",
    "Url",
]

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
ScopeToken = Annotated[str, Meta(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$", max_length=256)]
ClaimName = Annotated[str, Meta(min_length=1, max_length=256)]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(min_length=1, max_length=512)]
Path = Annotated[str, Meta(pattern=r"^/[!-~]*$", max_length=256)]
DomainName = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$", max_length=253),
]
# RFC 6749 appendix A.1, without the space
ClientId = Annotated[str, Meta(pattern=r"^[!-~]+$", max_length=512)]
ApplicationIdUri = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]*:[!#-\[\]-~]*[!#-.0-\[\]-~]$", max_length=255)]
RedirectUri = Annotated[str, Meta(min_length=1, max_length=1024)]
HostValue = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]_-]+$", max_length=253)]
ProjectReference = Annotated[str, Meta(pattern=r"^[a-z0-9]+$", max_length=63)]
ScopeList = Annotated[list[ScopeToken], Meta(max_length=64)]
AudienceList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=1024)]], Meta(min_length=1, max_length=16)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
Quantity = int | str


class Model(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """Common settings: immutable, nothing unknown, camelCase on the wire."""
