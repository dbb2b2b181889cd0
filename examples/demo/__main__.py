"""The demo: ``python -m examples.demo``, on a cluster of its own, or on kubectl's current context: ``CLUSTER=current``.

With ``CLUSTER=current`` the nodes have the images already, or pull them from ``IMAGE_REGISTRY``.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.demo import second_act, story
from examples.demo.images import IDP, OPERATOR, REGISTRY, SIDECAR, WEATHER, build_images
from examples.demo.narrator import Narrator, StepFailed
from examples.demo.stage import (
    FORECAST_PORT,
    FORECAST_URL,
    IDP_NAME,
    IDP_PORT,
    LOCAL_PORT,
    NAMESPACE,
    OPERATOR_NAMESPACE,
    SSO_NAME,
    SSO_PORT,
    URL,
    Stage,
)
from tests.support import cluster
from tests.support.identity.programs import ProgramFailed
from tests.support.images.errors import SetupError
from tests.support.kube import CommandFailed, Kube, NotReached

FAILURES = (StepFailed, ProgramFailed, SetupError, CommandFailed, NotReached, subprocess.TimeoutExpired)

SITUATION = (
    "get pods -o wide",
    "get mcpauth -o wide",
    "events --types=Warning",
    # This selector is fulfilled by every pod.
    "logs -l !none --all-containers --tail=8 --prefix",
)
"""What kubectl is asked when the story failed."""


def own_cluster(narrator: Narrator) -> tuple[Kube, bool]:
    """Steps: a cluster on this machine with the images in it; also whether one of Postern's changed under its tag."""
    narrator.step("A real Kubernetes on this machine")
    narrator.command("make cluster")
    plan = cluster.up()
    path = f"{plan.programs}{os.pathsep}{os.environ['PATH']}"
    kube = Kube({"KUBECONFIG": str(plan.kubeconfig), "PATH": path}, NAMESPACE)
    narrator.shows(kube.run("get", "nodes"))
    narrator.seen("one node, nothing of it outside its own namespaces")

    narrator.step("The images, built here and loaded into it")
    loaded = cluster.load(build_images(), plan.name)
    narrator.seen(", ".join((OPERATOR, SIDECAR, IDP, WEATHER)))
    return kube, any(tag.endswith(OPERATOR) for tag in loaded)


def current_cluster(narrator: Narrator, registry: str) -> Kube:
    """Steps: the cluster of kubectl's current context, and where its images come from."""
    missing = [name for name in ("kubectl", "helm") if shutil.which(name) is None]
    if missing:
        raise SetupError(f"missing in PATH: {', '.join(missing)}; CLUSTER=current uses what you have")
    kube = Kube({}, NAMESPACE)
    narrator.step("The cluster of kubectl's current context")
    narrator.command("kubectl config current-context; kubectl version")
    narrator.shows(kube.run("config", "current-context") + kube.run("version"))
    narrator.seen("it answers")

    narrator.step("The images")
    where = "are expected on the nodes already" if registry == REGISTRY else f"come from {registry}"
    narrator.seen(f"{', '.join((OPERATOR, SIDECAR, IDP, WEATHER))} {where}")
    return kube


def tell(environment: Mapping[str, str], folder: Path, narrator: Narrator) -> None:
    """The whole story. Raises one of ``FAILURES`` when it does not go as told."""
    is_current = environment.get("CLUSTER") == "current"
    registry = environment.get("IMAGE_REGISTRY", REGISTRY) if is_current else REGISTRY
    kube, renewed = (current_cluster(narrator, registry), False) if is_current else own_cluster(narrator)
    stage = Stage(kube=kube, folder=folder, registry=registry, narrator=narrator)
    try:
        play(stage, renewed=renewed)
        play_second_act(stage)
    except FAILURES:
        print(_situation(kube), file=sys.stderr)
        raise
    say_goodbye(stage, is_current=is_current)


def play(stage: Stage, *, renewed: bool) -> None:
    """The steps between cluster and curtain."""
    narrator = stage.narrator
    narrator.step("Postern, from its chart")
    story.install(stage, renewed=renewed)
    narrator.step(f"Namespace {NAMESPACE}: an identity provider and an ordinary MCP server")
    story.set_the_scene(stage)
    narrator.step("Before: an MCP client (the official Python SDK) without any token")
    story.served_without_token(stage)
    narrator.step("A policy: who may use it")
    story.apply_policy(stage)
    narrator.step("The one annotation")
    story.protect(stage)
    narrator.step("After: without a token")
    story.refused_outside(stage)
    narrator.step("After: the MCP client with nothing but the URL; alice is at the browser")
    story.served_after_login(stage)
    narrator.step("From inside the cluster, past the front door")
    story.refused_inside(stage)


def play_second_act(stage: Stage) -> None:
    """The same once more where clients cannot register."""
    narrator = stage.narrator
    narrator.step("Second act: an identity provider that registers nobody, and a second MCP server")
    second_act.set_the_scene(stage)
    second_act.registration_refused(stage)
    narrator.step("A policy in mode Proxy: Postern is its one client, and the authorization server for all others")
    second_act.protect(stage)
    narrator.step("Without a token")
    second_act.refused_outside(stage)
    narrator.step("The MCP client with nothing but the URL; alice is at the browser and is asked twice")
    second_act.served_after_login(stage)
    narrator.step("All its pods are replaced")
    second_act.served_after_restart(stage)


def say_goodbye(stage: Stage, *, is_current: bool) -> None:
    """How to go on with an own client, and how to leave nothing behind."""
    tell = stage.narrator
    tell.step("It is yours now")
    if not is_current:
        tell.command('eval "$(python3 -m tests.support.cluster env)"')
    doors = {
        "weather": f"{LOCAL_PORT}:80",
        "idp": str(IDP_PORT),
        "forecast": f"{FORECAST_PORT}:80",
        "sso": str(SSO_PORT),
    }
    tell.command(
        "\n".join(f"kubectl -n {NAMESPACE} port-forward svc/{name} {ports} &" for name, ports in doors.items())
    )
    tell.command(f"echo '127.0.0.1 {IDP_NAME} {SSO_NAME}' | sudo tee -a /etc/hosts")
    tell.command(
        f"kubectl -n {NAMESPACE} get configmap idp-ca -o jsonpath='{{.data.ca\\.crt}}' > ca.crt\n"
        "export NODE_EXTRA_CA_CERTS=$PWD/ca.crt SSL_CERT_FILE=$PWD/ca.crt   # for your client"
    )
    tell.does(
        f"Give {URL} or {FORECAST_URL} to any MCP client and log in as alice (alice-pw) or bob (bob-pw). To clean up:"
    )
    tell.command(f"kubectl delete namespace {NAMESPACE}")
    if is_current:
        tell.command(f"helm uninstall postern -n {OPERATOR_NAMESPACE}")
        tell.command(f"kubectl delete namespace {OPERATOR_NAMESPACE}")
        tell.command("kubectl delete crd mcpauthpolicies.postern.dev")
    else:
        tell.command("make cluster-down")


def _situation(kube: Kube) -> str:
    """What the cluster looks like, for whoever has to find out why."""
    told = []
    for namespace in (OPERATOR_NAMESPACE, NAMESPACE):
        for question in SITUATION:
            try:
                answer = kube.within(namespace).run(*question.split(), timeout_s=20)
            except (CommandFailed, subprocess.TimeoutExpired) as failure:
                answer = str(failure)
            told.append(f"$ kubectl -n {namespace} {question}\n{answer}")
    return "\n".join(told)


def main() -> int:
    """The exit code: 0 when everything came out as told, 1 when not, 130 after Ctrl-C."""
    # A terminated story ends its port-forwards too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with TemporaryDirectory(prefix="postern-demo-") as folder:
            tell(os.environ, Path(folder), Narrator())
    except FAILURES as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("\nAll as told.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
