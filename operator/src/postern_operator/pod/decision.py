"""What a pod or a workload may become: this module is the closed set of outcomes and of reasons to refuse."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Injected", "Reason", "Refused", "Stamped"]


class Reason(StrEnum):
    """Why a pod or workload is refused; shown to users and used as a metric label."""

    POLICY_NOT_FOUND = "PolicyNotFound"
    POLICY_IN_OTHER_NAMESPACE = "PolicyInOtherNamespace"
    POLICY_INVALID = "PolicyInvalid"
    HOST_NETWORK = "HostNetwork"
    WINDOWS_POD = "WindowsPod"
    NAME_CLASH = "NameClash"
    PORT_CLASH = "PortClash"
    USER_CLASH = "UserClash"
    NO_PORT = "NoPort"
    AMBIGUOUS_PORT = "AmbiguousPort"
    UNKNOWN_PORT_NAME = "UnknownPortName"
    PROBE_HOST = "ProbeHost"
    SHARE_PROCESS_NAMESPACE = "ShareProcessNamespace"
    INCOMPATIBLE_NAMESPACE = "IncompatibleNamespace"
    BAD_LABEL_VALUE = "BadLabelValue"
    EMPTY_POLICY_NAME = "EmptyPolicyName"
    LABEL_IN_SELECTOR = "LabelInSelector"


@dataclass(frozen=True, slots=True)
class Refused:
    """It must not run like this."""

    reason: Reason
    message: str
    """What is wrong, where, and what to do; one line."""


@dataclass(frozen=True, slots=True)
class Injected:
    """The pod with the sidecar in front, or untouched when it does not ask for protection."""

    pod: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamped:
    """The workload with our keys on its pod template, or untouched when it does not ask for protection."""

    workload: dict[str, Any]
    warnings: tuple[str, ...] = ()
