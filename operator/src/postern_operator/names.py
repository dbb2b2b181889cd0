"""Every name that appears on objects of a cluster. They are read by running pods and users' tools: never change one."""

from postern_crds.v1alpha1 import GROUP

POLICY_ANNOTATION = f"{GROUP}/policy"
"""On a workload: the one annotation a user writes. Copied to the pod template."""
INJECT_LABEL = f"{GROUP}/inject"
"""On a pod (template): only 'true'; selects the pods that the pod webhook is asked about. Never in a selector."""
INJECT_VALUE = "true"
SHAPE_ANNOTATION = f"{GROUP}/shape"
"""On a pod template: hash of the injected pod's shape; a new value is a rollout."""
INJECTED_ANNOTATION = f"{GROUP}/injected"
"""On a pod: what it was injected with. Status compares it; no admission decision ever reads it."""
CONFIG_ANNOTATION = f"{GROUP}/config"
"""On a pod: version of the content that its volume should have; patching it makes the kubelet refresh it at once."""
KEYS_ANNOTATION = f"{GROUP}/keys"
"""On the ConfigMap: hash of the key ring that was last applied as a Secret, which nobody has to read for that."""
MANAGED_LABEL = f"{GROUP}/managed"
"""On objects that the controller creates: 'true'."""
POLICY_LABEL = f"{GROUP}/policy"
"""On objects that the controller creates: name of their policy."""

SIDECAR_CONTAINER = "postern"
CAPTURE_CONTAINER = "postern-net"
VOLUME = "postern"
RESERVED_NAMES = frozenset({SIDECAR_CONTAINER, CAPTURE_CONTAINER, VOLUME})

CONFIG_DIRECTORY = "/etc/postern"
CONFIG_FILE = "policy.json"
CA_FILE = "ca.crt"

FIELD_MANAGER = "postern"
STATUS_MANAGER = "postern-status"
CERTIFICATE_MANAGER = "postern-certificates"

MASTER_KEYS_SECRET = "postern-master-keys"  # noqa: S105 - a name
"""In the operator's own namespace: the keys from which every policy's key ring is derived."""

WORKLOAD_WEBHOOK_PATH = "/workloads"
POD_WEBHOOK_PATH = "/pods"


def config_map_name(policy: str) -> str:
    """Give the name of the ConfigMap that holds a policy's rendered file."""
    return f"postern-{policy}"


def keys_secret_name(policy: str) -> str:
    """Give the name of the Secret that holds a policy's key ring (mode Proxy)."""
    return f"postern-{policy}-keys"
