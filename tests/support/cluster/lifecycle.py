"""Brings a cluster up and takes it down, step by step."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.cluster.api import Api
from tests.support.cluster.binaries import DEBIAN_PACKAGES, folder_of, make_programs, programs_folder
from tests.support.cluster.configuration import write_configuration
from tests.support.cluster.containerd import Containerd
from tests.support.cluster.machine import machine_has_ipv6, running_node, start_node, stop_node
from tests.support.cluster.pki import make_certificates
from tests.support.cluster.plan import DEFAULT_INDEX, DEFAULT_NAME, Plan, make_plan
from tests.support.images.cache import cache_root, file_lock, need_free_space, point
from tests.support.images.debian import install_missing, need_debian, need_root
from tests.support.images.errors import SetupError
from tests.support.images.processes import run
from tests.support.images.progress import Progress
from tests.support.images.standard import base_image, pause_image

READY_LIMIT_S = 120.0
TICK_S = 0.1
RUN_SPACE_BYTES = 2_000_000_000


def up(
    name: str = DEFAULT_NAME,
    index: int = DEFAULT_INDEX,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Makes sure that the cluster runs; ``fresh`` starts it without what was in it before, its images excepted."""
    report = progress or Progress()
    plan = make_plan(name, index, programs_folder())
    need_root()
    need_debian()
    with file_lock(f"cluster-{name}", report):
        if not fresh and _is_running(plan):
            report.say(f"cluster {name}: already up")
            return plan
        archives = _make_all(report)
        need_free_space(RUN_SPACE_BYTES, "running a cluster")
        stop_node(plan)
        _prepare_state(plan, fresh=fresh, progress=report)
        _start(plan, archives, fresh=fresh, progress=report)
    return plan


def down(name: str = DEFAULT_NAME, *, purge: bool = False, progress: Progress | None = None) -> None:
    """Ends the cluster and everything in it; ``purge`` also forgets its state and its loaded images."""
    report = progress or Progress()
    plan = existing_plan(name)
    need_root()
    with file_lock(f"cluster-{name}", report):
        was_running = stop_node(plan)
        if purge:
            shutil.rmtree(plan.state, ignore_errors=True)
    report.say(f"cluster {name}: {'down' if was_running else 'was not running'}{', state removed' if purge else ''}")


def load(archives: Sequence[Path], name: str = DEFAULT_NAME, *, progress: Progress | None = None) -> list[str]:
    """Loads image archives into the running cluster, except those it has; gives back the tags that were new."""
    report = progress or Progress()
    node = running_node(existing_plan(name))
    if node is None:
        raise SetupError(f"the cluster {name} is not running: start it with make cluster")
    with file_lock(f"cluster-{name}", report):
        return Containerd(node.pid).load(archives, report)


def existing_plan(name: str = DEFAULT_NAME) -> Plan:
    """The plan that the cluster ``name`` was last started with; its defaults if it never was."""
    plan = make_plan(name, DEFAULT_INDEX, programs_folder())
    made_for = _made_for(plan)
    return Plan(name, made_for[0], plan.state, folder_of(made_for[1])) if made_for else plan


def _is_running(plan: Plan) -> bool:
    node = running_node(plan)
    if node is None:
        return False
    if node.index != plan.index:
        raise SetupError(f"the cluster {plan.name} runs with index {node.index}: take it down first, or use that index")
    return plan.kubeconfig.exists() and Api(plan).is_node_ready()


def _make_all(progress: Progress) -> list[Path]:
    """The archives every cluster starts with; the base image is made beside the compiler's work."""
    install_missing(DEBIAN_PACKAGES, progress)
    with ThreadPoolExecutor() as workers:
        base = workers.submit(base_image, progress)
        pause = pause_image(make_programs(progress) / "pause", progress)
        return [pause, base.result()]


def _prepare_state(plan: Plan, *, fresh: bool, progress: Progress) -> None:
    made_for = _made_for(plan)
    fits = made_for == (plan.index, plan.programs.parent.name)
    if made_for and not fits:
        progress.say(f"cluster {plan.name}: made anew, its addresses or programs have changed")
        shutil.rmtree(plan.state)
    if fresh:
        for folder in ("etcd", "var/lib/kubelet", "var/lib/cni", "var/log"):
            shutil.rmtree(plan.state / folder, ignore_errors=True)
    shutil.rmtree(plan.logs, ignore_errors=True)
    plan.logs.mkdir(parents=True)
    (plan.state / "made-for.json").write_text(json.dumps([plan.index, plan.programs.parent.name]))
    make_certificates(plan)
    write_configuration(plan)


def _made_for(plan: Plan) -> tuple[int, str] | None:
    """Index and key of the programs that this state belongs to."""
    try:
        index, key = json.loads((plan.state / "made-for.json").read_text())
    except FileNotFoundError:
        return None
    return index, key


def _start(plan: Plan, archives: Sequence[Path], *, fresh: bool, progress: Progress) -> None:
    node = start_node(plan)
    progress.say(f"cluster {plan.name}: the node's first process is {node.pid}")
    if not machine_has_ipv6():
        progress.say("this machine has no IPv6: pods reach each other with it, the machine reaches them with IPv4 only")
    containerd = Containerd(node.pid)

    def until(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_LIMIT_S
        while not condition():
            if time.monotonic() > deadline or not node.is_alive():
                raise SetupError(f"not reached: {what}; see {plan.logs} and {plan.state / 'node.log'}")
            time.sleep(TICK_S)
        progress.say(f"cluster {plan.name}: {what}")

    until(containerd.is_ready, "containerd answers")
    if fresh:
        containerd.remove_containers()
    containerd.load(archives, progress)
    node.signal(signal.SIGUSR1)
    api = Api(plan)
    until(api.is_ready, "the API server is ready")
    kubectl = [str(plan.programs / "kubectl"), f"--kubeconfig={plan.kubeconfig}"]
    objects = plan.configuration / "base.json"
    run([*kubectl, "apply", "--validate=false", f"--filename={objects}"], purpose="making the cluster's first objects")
    node.signal(signal.SIGUSR2)
    until(api.is_node_ready, "the node is ready")
    until(api.has_default_account, "pods can be made")
    until(api.has_dns, "DNS answers")
    point(cache_root() / "cluster" / "bin", plan.programs)
