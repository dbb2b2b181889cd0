"""A real single-node Kubernetes for tests and demo, made from package registries alone."""

from tests.support.cluster.lifecycle import down, existing_plan, load, up
from tests.support.cluster.plan import Plan

__all__ = ["Plan", "down", "existing_plan", "load", "up"]
