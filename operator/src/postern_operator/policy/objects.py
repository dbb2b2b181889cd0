"""The objects of a cluster that follow from a policy: this module is the ConfigMap and the list of public routes."""

from typing import Any
from urllib.parse import urlsplit

from postern_crds.sidecar_config import SidecarConfig, encode
from postern_crds.v1alpha1 import GROUP, KIND, VERSION
from postern_operator import names

__all__ = ["config_map", "routes"]


def config_map(policy: dict[str, Any], config: SidecarConfig) -> dict[str, Any]:
    """Give the ConfigMap ``postern-<policy>`` as a server-side-apply body, owned by the policy.

    ``policy`` is the stored object (name, namespace, uid); when it is deleted, the ConfigMap goes with it.
    """
    metadata = policy["metadata"]
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        # A running pod keeps its copy: nothing has to wait for the ConfigMap when the policy is deleted.
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.config_map_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": {names.MANAGED_LABEL: "true", names.POLICY_LABEL: metadata["name"]},
            "ownerReferences": [owner],
        },
        "data": {names.CONFIG_FILE: encode(config)},
    }


def routes(config: SidecarConfig) -> list[str]:
    """List the paths that an Ingress must send to the protected Service, in a fixed order (status.routes).

    The MCP endpoint, its metadata where clients look first (RFC 9728 section 3.1), and the public paths; where the
    server owns the whole host also the root forms that clients try next (SPEC 14, 15, 21). '/*' ends a prefix.
    """
    resource = config.resource
    endpoint = f"{resource.prefix}/*" if resource.prefix else resource.path
    paths = [endpoint, urlsplit(resource.metadata_url).path]
    if not resource.prefix:
        paths += ["/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"]
    paths += [path for path in config.server.public_paths if not _covers(endpoint, path)]
    return list(dict.fromkeys(paths))


def _covers(prefix: str, path: str) -> bool:
    return prefix.endswith("/*") and path.startswith(prefix[:-1])
