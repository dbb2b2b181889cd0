"""Objects of the policy's namespace that a policy names."""

from typing import Annotated

from msgspec import Meta

from postern_crds.spec.fields import Model

__all__ = ["CABundle", "ConfigMapKey", "SecretKey"]


class ConfigMapKey(Model, frozen=True):
    """A key of a ConfigMap in the policy's namespace."""

    name: Annotated[
        str, Meta(description="Name of the ConfigMap.", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    ]
    key: Annotated[
        str, Meta(description="Key that holds PEM certificates.", pattern=r"^[A-Za-z0-9._-]+$", max_length=253)
    ] = "ca.crt"


class CABundle(Model, frozen=True):
    """Extra trust for an identity provider with a private CA, in addition to the public ones."""

    config_map: Annotated[ConfigMapKey, Meta(description="Where the PEM certificates are.")]


class SecretKey(Model, frozen=True):
    """A key of a Secret in the policy's namespace. It may appear or change later: pods take it up by themselves."""

    name: Annotated[
        str, Meta(description="Name of the Secret.", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    ]
    key: Annotated[
        str, Meta(description="Key that holds the secret.", pattern=r"^[A-Za-z0-9._-]+$", max_length=253)
    ] = "client-secret"
