"""What the components of the test cluster are told."""

import json
from pathlib import Path

import pytest

from tests.support.cluster.components import FIRST, WITH_API, WITH_RUNTIME, commands
from tests.support.cluster.configuration import configuration_files
from tests.support.cluster.pki import certificates, clients
from tests.support.cluster.plan import Plan


@pytest.fixture
def plan() -> Plan:
    return Plan("postern", 1, Path("/cache/run/postern"), Path("/cache/bin"))


def flags(plan: Plan, component: str) -> dict[str, str]:
    words = [word.removeprefix("--") for word in commands(plan)[component]]
    return dict(word.partition("=")[::2] for word in words)


def test_pods_get_one_address_of_each_family(plan: Plan) -> None:
    plugins = json.loads(configuration_files(plan, {})["cni/10-pods.conflist"])["plugins"]

    ranges = plugins[0]["ipam"]["ranges"]
    assert ranges == [[{"subnet": "10.201.1.0/24"}], [{"subnet": "fd00:10:201:1::/64"}]]


@pytest.mark.parametrize("component", ["kube-apiserver", "kube-controller-manager"])
def test_services_are_dual_stack(plan: Plan, component: str) -> None:
    assert flags(plan, component)["service-cluster-ip-range"] == "10.202.1.0/24,fd00:10:202:1::/112"


def test_node_has_an_address_of_each_family(plan: Plan) -> None:
    assert flags(plan, "kubelet")["node-ip"] == "10.200.1.2,fd00:10:200:1::2"


def test_kubelet_keeps_its_default_sync_frequency(plan: Plan) -> None:
    assert "syncFrequency" not in json.loads(configuration_files(plan, {})["kubelet.yaml"])


def test_sync_frequency_can_be_chosen(plan: Plan) -> None:
    settings = json.loads(configuration_files(plan, {"POSTERN_SYNC_FREQUENCY": "5s"})["kubelet.yaml"])

    assert settings["syncFrequency"] == "5s"


def test_every_component_starts_exactly_once(plan: Plan) -> None:
    assert sorted((*FIRST, *WITH_RUNTIME, *WITH_API)) == sorted(commands(plan))


def test_every_kubeconfig_that_a_component_reads_is_made(plan: Plan) -> None:
    words = " ".join([*configuration_files(plan, {}).values(), *(" ".join(line) for line in commands(plan).values())])
    made = {f"{client.file}.kubeconfig" for client in clients(plan.name)}

    read = {Path(word.strip('",=')).name for word in words.split() if word.strip('",').endswith(".kubeconfig")}
    assert read <= made
    assert made - read == {"admin.kubeconfig"}


def test_every_certificate_that_is_read_is_made(plan: Plan) -> None:
    text = " ".join([configuration_files(plan, {})["kubelet.yaml"], *commands(plan)["kube-apiserver"]])
    made = {certificate.file for certificate in certificates(plan)} | {"ca", "front-ca"}

    read = {Path(word.strip('",')).stem for word in text.replace("=", " ").split() if word.strip('",').endswith(".crt")}
    assert read
    assert read <= made


def test_api_server_is_known_by_its_names_and_addresses(plan: Plan) -> None:
    names = next(certificate.names for certificate in certificates(plan) if certificate.file == "apiserver")

    assert {"DNS:kubernetes.default.svc", "IP:10.200.1.2", "IP:10.202.1.1", "IP:fd00:10:202:1::1"} <= set(names)
