"""The objects of a cluster that follow from a policy: this module is ConfigMap, key Secret and the public routes."""

import base64
from typing import Any
from urllib.parse import urlsplit

from postern_crds import key_ring
from postern_crds.key_ring import KeyRing
from postern_crds.sidecar_config import SidecarConfig, encode
from postern_crds.sidecar_files import KEYS_FILE
from postern_crds.v1alpha1 import GROUP, KIND, VERSION
from postern_operator import names

__all__ = ["config_map", "keys_secret", "routes"]

_FACADE = ("authorize", "consent", "token", "register", "revoke")
"""Last segments of the paths at which a sidecar in mode Proxy is the authorization server (ProxyConfig.issuer)."""


def config_map(policy: dict[str, Any], config: SidecarConfig, keys_hash: str | None = None) -> dict[str, Any]:
    """Give the ConfigMap ``postern-<policy>`` as a server-side-apply body, owned by the policy.

    ``policy`` is the stored object (name, namespace, uid); when it is deleted, the ConfigMap goes with it.
    ``keys_hash`` of the key ring that was applied beside it is noted on it; None: there is none.
    """
    metadata = _metadata(policy, names.config_map_name(policy["metadata"]["name"]))
    if keys_hash is not None:
        metadata["annotations"] = {names.KEYS_ANNOTATION: keys_hash}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {names.CONFIG_FILE: encode(config)},
    }


def keys_secret(policy: dict[str, Any], ring: KeyRing) -> dict[str, Any]:
    """Give the Secret ``postern-<policy>-keys`` as a server-side-apply body, owned by the policy."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": _metadata(policy, names.keys_secret_name(policy["metadata"]["name"])),
        "data": {KEYS_FILE: base64.b64encode(key_ring.encode(ring).encode()).decode()},
    }


def routes(config: SidecarConfig) -> list[str]:
    """List the paths that an Ingress must send to the protected Service, in a fixed order (status.routes).

    The MCP endpoint, its metadata where clients look first (RFC 9728 section 3.1), in mode Proxy the authorization
    server's endpoints and metadata, and the public paths; where the server owns the whole host also the root forms that
    clients try next (SPEC 14, 15, 21). '/*' ends a prefix.
    """
    resource = config.resource
    endpoint = f"{resource.prefix}/*" if resource.prefix else resource.path
    paths = [endpoint, urlsplit(resource.metadata_url).path]
    if not resource.prefix:
        paths += ["/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"]
    paths += [path for path in (*_facade(config), *config.server.public_paths) if not _covers(endpoint, path)]
    return list(dict.fromkeys(paths))


def _metadata(policy: dict[str, Any], name: str) -> dict[str, Any]:
    metadata = policy["metadata"]
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        # A running pod keeps its copy: nothing has to wait for our objects when the policy is deleted.
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": {names.MANAGED_LABEL: "true", names.POLICY_LABEL: metadata["name"]},
        "ownerReferences": [owner],
    }


def _facade(config: SidecarConfig) -> list[str]:
    """List the paths of the authorization server that we are ourselves.

    Its metadata in the inserted forms of RFC 8414 section 3.1 and OpenID Connect, and appended; its endpoints; the
    callback to which the identity provider sends browsers back.
    """
    if config.proxy is None:
        return []
    prefix = config.resource.prefix
    documents = [f"/.well-known/{name}{prefix}" for name in ("oauth-authorization-server", "openid-configuration")]
    documents.append(f"{prefix}/.well-known/openid-configuration")
    return [*documents, *(f"{prefix}/{name}" for name in _FACADE), config.proxy.callback_path]


def _covers(prefix: str, path: str) -> bool:
    return prefix.endswith("/*") and path.startswith(prefix[:-1])
