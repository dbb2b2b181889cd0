"""Which policy a pod or workload names: this module reads the annotation and says what is wrong with it."""

import re
from typing import Any

import msgspec

from postern_operator import names
from postern_operator.pod.decision import Reason, Refused
from postern_operator.policy.stored import Policy, parse

__all__ = ["asks_for_injection", "named_policy", "resolve"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MAX_NAME = 63
"""Characters of a policy's name (a rule of the resource)."""
_ANNOTATION = f"metadata.annotations[{names.POLICY_ANNOTATION}]"


def asks_for_injection(metadata: dict[str, Any]) -> bool | Refused:
    """Tell whether an object's label asks for the sidecar; any value but the right one is refused, never ignored."""
    labels = metadata.get("labels") or {}
    if names.INJECT_LABEL not in labels:
        return False
    if labels[names.INJECT_LABEL] == names.INJECT_VALUE:
        return True
    return Refused(
        Reason.BAD_LABEL_VALUE,
        f"metadata.labels[{names.INJECT_LABEL}] is {labels[names.INJECT_LABEL]!r}: the only value is "
        f"{names.INJECT_VALUE!r}; write it, or remove the label to run without protection",
    )


def named_policy(metadata: dict[str, Any]) -> str | Refused:
    """Give the name in the policy annotation of a pod or workload."""
    name = (metadata.get("annotations") or {}).get(names.POLICY_ANNOTATION) or ""
    if not name.strip():
        return Refused(
            Reason.EMPTY_POLICY_NAME,
            f"{_ANNOTATION} is missing or empty: write the name of a McpAuthPolicy of the same namespace there",
        )
    if "/" in name:
        return Refused(
            Reason.POLICY_IN_OTHER_NAMESPACE,
            f"{_ANNOTATION} is {name!r}: a policy of another namespace cannot be used; create the McpAuthPolicy in the "
            "namespace of the workload and write its name alone",
        )
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        return Refused(
            Reason.POLICY_NOT_FOUND,
            f"{_ANNOTATION} is {name!r}, which no McpAuthPolicy can be named: write a name of at most {_MAX_NAME} "
            "lower-case letters, digits, '-' and '.'",
        )
    return name


def resolve(name: str, policy: dict[str, Any] | None, namespace: dict[str, Any]) -> Policy | Refused:
    """Give the policy of that name as values. ``policy`` is the object that was found under the name, None: nothing."""
    here = (namespace.get("metadata") or {}).get("name") or ""
    if policy is None or (policy.get("metadata") or {}).get("name") != name:
        return Refused(
            Reason.POLICY_NOT_FOUND,
            f"McpAuthPolicy {name} ({_ANNOTATION}) does not exist in namespace {here}: create it there, or correct the "
            "name",
        )
    try:
        return parse(policy)
    except msgspec.ValidationError as e:
        return Refused(
            Reason.POLICY_INVALID, f"McpAuthPolicy {name} in namespace {here} is not valid: {e}; correct the policy"
        )
