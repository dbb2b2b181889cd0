"""Reading the configuration directory: what holds together, and what each fault says."""

import json
from pathlib import Path

import pytest

from postern_crds import key_ring
from postern_crds.sidecar_config import encode
from postern_sidecar.material import Material
from postern_sidecar.policy.load import ConfigFault, Files, Loaded, judge, read
from tests.sidecar.facade.building import make_ring
from tests.sidecar.policy.volume import Volume
from tests.support.ca import PrivateCA
from tests.support.policies import make_config, make_proxy_config

GOOD = encode(make_config()).encode()
PROXY = encode(make_proxy_config()).encode()
RING = make_ring("ring-1")


def load(directory: Path) -> Loaded | ConfigFault:
    return judge(directory, read(directory))


def changed(**members: object) -> bytes:
    return json.dumps({**json.loads(GOOD), **members}).encode()


def test_plain_directory_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_bytes(GOOD)
    assert load(tmp_path) == Loaded(make_config(), Material())


def test_volume_of_the_kubelet_is_loaded_with_its_ca(tmp_path: Path) -> None:
    pem = PrivateCA().certificate
    Volume(tmp_path).swap({"policy.json": GOOD, "ca.crt": pem})
    assert load(tmp_path) == Loaded(make_config(), Material(ca_pem=pem))


def test_files_of_two_generations_are_never_mixed(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    for number in range(20):
        content = b"%d" % number
        volume.swap({"policy.json": content, "ca.crt": content})
        assert read(tmp_path) == Files({"policy.json": content, "ca.crt": content})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "is missing", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(GOOD[: len(GOOD) // 2], "truncated", id="torn"),
        pytest.param(b"{}", "missing required field `schemaVersion`", id="no version"),
        pytest.param(b'{"schemaVersion": 2', "truncated", id="half an object"),
        pytest.param(b"\xff\xfe", "malformed", id="not text"),
        pytest.param(b"[]", "Expected `object`", id="a list"),
        pytest.param(changed(schemaVersion=3), "use a sidecar image", id="newer schema"),
        pytest.param(changed(surprise=1), "surprise", id="unknown member"),
        pytest.param(changed(mode="Proxy"), "$.proxy", id="mode without its part"),
        pytest.param(changed(policy={"namespace": "x", "name": "other"}), "hash", id="edited"),
        pytest.param(changed(log={"level": "info"}), "audit", id="member lost"),
    ],
)
def test_unusable_policy_names_file_fault_and_remedy(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "policy.json").write_bytes(content)
    fault = load(tmp_path)
    assert isinstance(fault, ConfigFault)
    assert fault.file == str(tmp_path / "policy.json")
    assert says in fault.fault
    assert fault.advice in str(fault)


@pytest.mark.parametrize(
    "pem", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff"]
)
def test_ca_that_is_no_certificate_is_a_fault_of_its_file(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "policy.json").write_bytes(GOOD)
    (tmp_path / "ca.crt").write_bytes(pem)
    fault = load(tmp_path)
    assert isinstance(fault, ConfigFault)
    assert fault.file.endswith("ca.crt")


def test_directory_that_is_not_there_is_a_fault_and_no_exception(tmp_path: Path) -> None:
    fault = load(tmp_path / "nowhere")
    assert isinstance(fault, ConfigFault)
    assert "No such file" in fault.fault


def test_file_of_absurd_size_is_a_fault_and_is_not_held(tmp_path: Path) -> None:
    with (tmp_path / "policy.json").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    files = read(tmp_path)
    assert files.problem is not None
    assert not files.contents


def test_keys_and_secrets_are_loaded_with_the_policy_they_belong_to(tmp_path: Path) -> None:
    contents = {
        "policy.json": PROXY,
        "keys.json": key_ring.encode(RING).encode(),
        "client-secret": b"s3cret \xc3\xa9\n",
        "introspection-secret": b"other",
    }
    Volume(tmp_path).swap(contents)
    secrets = {"client-secret": "s3cret \u00e9", "introspection-secret": "other"}
    assert load(tmp_path) == Loaded(make_proxy_config(), Material(ring=RING, secrets=secrets))


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), (b"a", "a"), (b"", None), (b"\n", None)],
)
def test_one_newline_at_the_end_is_no_part_of_a_secret_and_an_empty_one_is_absent(
    tmp_path: Path, content: bytes, secret: str | None
) -> None:
    Volume(tmp_path).swap({"policy.json": PROXY, "client-secret": content})
    loaded = load(tmp_path)
    assert isinstance(loaded, Loaded)
    assert loaded.material.secrets.get("client-secret") == secret


def test_absent_keys_and_secrets_are_no_fault(tmp_path: Path) -> None:
    Volume(tmp_path).swap({"policy.json": PROXY, "keys.json": b""})
    assert load(tmp_path) == Loaded(make_proxy_config(), Material())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("keys.json", b"{}"),
        ("keys.json", b'{"keys": []}'),
        ("keys.json", key_ring.encode(RING).encode()[:-20]),
        ("keys.json", b"\xff"),
        ("client-secret", b"s3cret\xff"),
        ("client-secret", b"s3cret" * 1000),
        ("introspection-secret", b"\x80s3cret"),
    ],
)
def test_unusable_key_or_secret_is_a_fault_of_its_file_that_shows_nothing_of_it(
    tmp_path: Path, name: str, content: bytes
) -> None:
    Volume(tmp_path).swap({"policy.json": PROXY, name: content})
    fault = load(tmp_path)
    assert isinstance(fault, ConfigFault)
    assert fault.file == str(tmp_path / name)
    assert "s3cret" not in str(fault)
    assert RING.keys[0].secret not in str(fault)


def test_mode_direct_does_not_look_at_keys(tmp_path: Path) -> None:
    Volume(tmp_path).swap({"policy.json": GOOD, "keys.json": b"nonsense"})
    assert load(tmp_path) == Loaded(make_config())


def test_no_secret_shows_when_what_was_loaded_is_printed(tmp_path: Path) -> None:
    contents = {"policy.json": PROXY, "keys.json": key_ring.encode(RING).encode(), "client-secret": b"s3cret"}
    Volume(tmp_path).swap(contents)
    text = f"{read(tmp_path)} {load(tmp_path)}"
    assert "s3cret" not in text
    assert RING.keys[0].secret not in text
