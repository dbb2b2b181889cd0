"""The command line: what it prints, where, and its exit codes."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from postern_crds import key_ring
from postern_crds.sidecar_config import decode
from postern_operator.cli import main
from tests.operator.pod.samples import make_pod, make_policy, make_workload, merged


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return _write(tmp_path / "policy.yaml", make_policy())


def _write(path: Path, *documents: Any) -> str:
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return str(path)


def test_render_prints_the_file(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", policy]) == 0

    printed = capsys.readouterr()
    assert decode(printed.out.encode()).policy.name == "weather"
    assert printed.err == ""


def test_render_writes_into_a_directory(policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", policy, "--output", str(tmp_path / "new" / "dir")]) == 0

    assert decode((tmp_path / "new" / "dir" / "policy.json").read_bytes()).policy.name == "weather"
    assert capsys.readouterr() == ("", "")


def test_render_says_that_a_ca_bundle_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _write(tmp_path / "p.yaml", make_policy(caBundle={"configMap": {"name": "company-ca"}}))

    assert main(["render", source, "--output", str(tmp_path)]) == 0

    assert f"{tmp_path / 'ca.crt'} beside policy.json" in capsys.readouterr().err


@pytest.fixture
def proxy_policy(tmp_path: Path) -> str:
    client = {"id": "postern", "secretRef": {"name": "weather-client"}}
    return _write(tmp_path / "proxy.yaml", make_policy(mode="Proxy", proxy={"client": client}))


def test_render_of_mode_proxy_makes_a_key_ring_for_its_owner_alone(
    proxy_policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    assert main(["render", proxy_policy, "--output", str(first)]) == 0
    assert main(["render", proxy_policy, "--output", str(second)]) == 0

    ring = key_ring.decode((first / "keys.json").read_bytes())
    assert [(len(key.secret_bytes()), key.not_before) for key in ring.keys] == [(32, 0)]
    assert (first / "keys.json").stat().st_mode & 0o777 == 0o600
    assert (first / "keys.json").read_bytes() != (second / "keys.json").read_bytes(), "each is random"
    assert f"{first / 'client-secret'} beside policy.json" in capsys.readouterr().err


def test_render_again_keeps_the_key_ring_and_asks_for_no_secret_that_is_there(
    proxy_policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", proxy_policy, "--output", str(tmp_path)]) == 0
    keys = (tmp_path / "keys.json").read_bytes()
    (tmp_path / "client-secret").write_text("s3cret")
    capsys.readouterr()

    assert main(["render", proxy_policy, "--output", str(tmp_path)]) == 0

    assert (tmp_path / "keys.json").read_bytes() == keys
    assert capsys.readouterr() == ("", "")


def test_render_does_not_replace_a_key_ring_that_it_cannot_read(
    proxy_policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.json").write_text("{}")

    assert main(["render", proxy_policy, "--output", str(tmp_path)]) == 1

    assert "is no key ring" in capsys.readouterr().err
    assert (tmp_path / "keys.json").read_text() == "{}"


def test_render_of_mode_proxy_prints_no_key(proxy_policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", proxy_policy]) == 0

    printed = capsys.readouterr()
    assert decode(printed.out.encode()).mode == "Proxy"
    assert printed.err == ""


def test_render_of_mode_direct_makes_no_key_ring(policy: str, tmp_path: Path) -> None:
    assert main(["render", policy, "--output", str(tmp_path / "out")]) == 0

    assert [file.name for file in (tmp_path / "out").iterdir()] == ["policy.json"]


def test_render_says_that_a_secret_for_introspection_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    introspection = {"clientID": "checker", "secretRef": {"name": "checker"}}
    verification = {"kind": "Introspection", "introspection": introspection}
    source = _write(tmp_path / "p.yaml", make_policy(verification=verification))

    assert main(["render", source, "--output", str(tmp_path)]) == 0

    assert f"{tmp_path / 'introspection-secret'} beside policy.json" in capsys.readouterr().err


def test_render_that_cannot_write_fails_with_one_line(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    assert main(["render", policy, "--output", str(blocked / "dir")]) == 1

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [["render"], ["inject"]])
def test_bad_policy_has_every_fault_on_its_own_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _write(tmp_path / "p.yaml", make_policy(resource={"nmae": "x"}, mode="Indirect"))
    pod = _write(tmp_path / "pod.yaml", make_pod())

    assert main([*command, source, *([pod] if command == ["inject"] else [])]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert {line.split(": ")[0] for line in printed.err.splitlines()} == {"spec.resource.nmae", "spec.mode"}
    assert printed.err.count("\n") == 2


def test_rule_between_fields_is_told_like_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _write(tmp_path / "p.yaml", make_policy(resource={"url": "http://mcp.example.com/mcp"}))

    assert main(["render", source]) == 2

    assert capsys.readouterr().err.startswith("spec.resource.url: must start with https://")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: [", "is not YAML"),
        ("kind: Pod\n", "no object of kind McpAuthPolicy"),
        ("", "no object of kind McpAuthPolicy"),
        ("- 1\n", "no object of kind McpAuthPolicy"),
        ("kind: McpAuthPolicy\n---\nkind: McpAuthPolicy\n", "several objects of kind McpAuthPolicy"),
        ("kind: McpAuthPolicy\n", "apiVersion: must be postern.dev/v1alpha1"),
    ],
)
def test_input_that_is_no_policy_is_told_in_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(text)

    assert main(["render", str(tmp_path / "p.yaml")]) == 2

    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(tmp_path / "none.yaml")]) == 2

    assert capsys.readouterr().err == f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n"


def test_policy_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(yaml.safe_dump(make_policy())))

    assert main(["render", "-"]) == 0

    assert json.loads(capsys.readouterr().out)["policy"]["name"] == "weather"


def test_two_standard_inputs_are_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inject", "-", "-"]) == 2

    assert "cannot both be stdin" in capsys.readouterr().err


def test_inject_prints_the_pod(policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = _write(tmp_path / "pod.yaml", make_pod())

    assert main(["inject", policy, pod, "--image", "sidecar:1"]) == 0

    printed = yaml.safe_load(capsys.readouterr().out)
    assert [c["image"] for c in printed["spec"]["initContainers"]] == ["sidecar:1", "sidecar:1"]


def test_inject_takes_policy_and_workload_from_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _write(tmp_path / "all.yaml", make_policy(), make_workload(), {"kind": "Service"})

    assert main(["inject", source, source]) == 0

    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["kind"] == "Pod"
    assert [c["name"] for c in printed["spec"]["initContainers"]] == ["postern-net", "postern"]


def test_warnings_of_inject_go_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ports = [{"containerPort": 8080}, {"containerPort": 9090}]
    pod = _write(tmp_path / "pod.yaml", make_pod(spec={"containers": [{"name": "app", "image": "x", "ports": ports}]}))
    policy = _write(tmp_path / "policy.yaml", make_policy(server={"port": 8080}))

    assert main(["inject", policy, pod]) == 0

    assert capsys.readouterr().err.startswith("warning: ports 9090 (container app) will not be reachable")


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        (make_pod(spec={"hostNetwork": True}), "HostNetwork: spec.hostNetwork is true"),
        (make_workload(template={"spec": {"hostNetwork": True}}), "HostNetwork: in spec.template: spec.hostNetwork"),
        (make_workload(annotations={"postern.dev/policy": "other"}), "PolicyNotFound: in spec.template: "),
        (make_pod(metadata={"namespace": "team-b"}), "PolicyNotFound: McpAuthPolicy weather "),
        (make_workload(metadata={"namespace": "team-b"}), "PolicyNotFound: McpAuthPolicy weather "),
    ],
)
def test_refusal_of_inject_exits_with_1(
    subject: dict[str, Any], says: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inject", policy, _write(tmp_path / "pod.yaml", subject)]) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(says)


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        (make_pod(metadata={"labels": None}), "the pod has no label postern.dev/inject: 'true'"),
        (make_workload(annotations={}), "the Deployment has no annotation postern.dev/policy"),
    ],
)
def test_subject_that_asks_for_nothing_is_printed_with_a_warning(
    subject: dict[str, Any], says: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inject", policy, _write(tmp_path / "pod.yaml", subject)]) == 0

    printed = capsys.readouterr()
    assert "postern-net" not in printed.out
    assert says in printed.err
    assert "unprotected" in printed.err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"spec": None}, "spec: must be an object"),
        ({"spec": {"containers": None}}, "spec.containers: is required"),
        ({"spec": {"containers": ["x"]}}, "spec.containers: must be a list of objects with a name"),
        ({"spec": {"volumes": {"a": 1}}}, "spec.volumes: must be a list of objects with a name"),
        ({"metadata": "x"}, "metadata: must be an object"),
        (
            {"spec": {"securityContext": "x"}},
            "is not of the form of a Pod: AttributeError(\"'str' object has no attribute 'get'\")",
        ),
    ],
)
def test_pod_of_the_wrong_form_is_bad_input(
    change: dict[str, Any], says: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = _write(tmp_path / "pod.yaml", merged(make_pod(), change))

    assert main(["inject", policy, pod]) == 2

    assert capsys.readouterr().err == f"{pod}: {says}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["render"], ["inject", "x"], ["render", "a", "--typo"]])
def test_wrong_use_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: postern-operator" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["controller", "webhook"])
def test_role_without_its_settings_exits_with_2_and_names_the_variable(
    role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POSTERN_SIDECAR_IMAGE", raising=False)

    assert main([role]) == 2

    assert capsys.readouterr().err == "POSTERN_SIDECAR_IMAGE is not set: give the image of the sidecar\n"


def test_program_runs_without_the_cluster_libraries(policy: str) -> None:
    code = (
        "import sys; from postern_operator.cli import main; "
        f"code = main(['render', {policy!r}]); "
        "sys.exit(code or bool({'kopf', 'kubernetes', 'starlette', 'uvicorn'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert decode(done.stdout.encode()).policy.name == "weather"


def test_module_runs_as_a_program(policy: str) -> None:
    command = [sys.executable, "-m", "postern_operator", "render", policy]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
