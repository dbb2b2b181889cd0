"""The rendered file: what a sidecar refuses to read."""

from collections.abc import Callable

import msgspec
import pytest

from postern_crds import sidecar_config as sc
from tests.support.policies import make_config, make_proxy_config


def _config() -> sc.SidecarConfig:
    return make_config(policy={"uid": "u", "generation": 3})


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def test_a_file_reads_back_as_it_was_written() -> None:
    config = _config()

    assert sc.decode(sc.encode(config).encode()) == config


def test_mode_proxy_without_its_part_is_refused() -> None:
    text = sc.encode(sc.seal(msgspec.structs.replace(make_proxy_config(), proxy=None)))

    with pytest.raises(ValueError, match=r"\$\.proxy"):
        sc.decode(text.encode())


def test_the_hash_does_not_depend_on_the_generation() -> None:
    config = _config()
    later = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, generation=9))

    assert sc.config_hash(later) == config.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_swap('"schemaVersion": 2', '"schemaVersion": 3'), "schemaVersion 3", id="newer"),
        pytest.param(_swap('"audienceRequired": true', '"audienceRequired": false'), "hash", id="edited"),
        pytest.param(_swap('"mode": "Direct"', '"mode": "Direct", "extra": 1'), "extra", id="unknown"),
        pytest.param(lambda t: t[: len(t) // 2], "truncated", id="torn"),
        pytest.param(lambda _: "", "truncated", id="empty"),
        pytest.param(lambda _: "[]", "object", id="not an object"),
        pytest.param(_swap('"leewayS": 30', '"leewayS": "30"'), "int", id="wrong type"),
    ],
)
def test_a_file_that_is_not_as_written_is_refused(change: Callable[[str], str], message: str) -> None:
    text = change(sc.encode(_config()))

    with pytest.raises(ValueError, match=message):
        sc.decode(text.encode())
