"""Options and variables."""

from pathlib import Path

import pytest

from postern_sidecar.errors import SettingsError
from postern_sidecar.settings import HELP, Address, asks_for_help, parse_address, read_settings

REQUIRED = ["--config", "/etc/postern", "--upstream", "127.0.0.1:8000"]


def test_defaults_take_all_addresses_and_the_agreed_ports() -> None:
    settings = read_settings(REQUIRED, {})
    assert settings.config == Path("/etc/postern")
    assert (settings.listen, settings.health) == (Address("::", 19871), Address("::", 19872))
    assert settings.upstream == Address("127.0.0.1", 8000)
    assert (settings.pod_ips, settings.namespace, settings.probes, settings.drain_seconds) == ((), "", "", 25)


def test_each_option_has_a_variable_and_the_option_wins() -> None:
    environment = {
        "POSTERN_CONFIG": "/a",
        "POSTERN_LISTEN": "0.0.0.0:1",
        "POSTERN_HEALTH": "0.0.0.0:2",
        "POSTERN_UPSTREAM": "[::1]:3",
        "POSTERN_POD_IPS": "10.0.0.1, fd00::1,",
        "POSTERN_NAMESPACE": "team-a",
        "POSTERN_DRAIN_SECONDS": "7",
    }
    settings = read_settings(["--listen", "127.0.0.1:9"], environment)
    assert settings.config == Path("/a")
    assert [str(a) for a in (settings.listen, settings.health, settings.upstream)] == [
        "127.0.0.1:9",
        "0.0.0.0:2",
        "[::1]:3",
    ]
    assert settings.pod_ips == ("10.0.0.1", "fd00::1")
    assert (settings.namespace, settings.drain_seconds) == ("team-a", 7)


def test_value_may_follow_an_equals_sign_and_the_last_one_wins() -> None:
    settings = read_settings([*REQUIRED, "--config=/a=b", "--listen", "a:1", "--listen=b:2"], {})
    assert (settings.config, settings.listen) == (Path("/a=b"), Address("b", 2))


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_asked_for_wherever_it_stands(word: str) -> None:
    assert asks_for_help([*REQUIRED, word])
    assert not asks_for_help(REQUIRED)


def test_help_names_each_option_and_its_variable() -> None:
    for name in ("config", "listen", "health", "upstream"):
        assert f"--{name} " in HELP
        assert f"POSTERN_{name.upper()}" in HELP


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], {}, "--config is missing: give it, or set POSTERN_CONFIG"),
        (["--config", "/c"], {}, "--upstream is missing"),
        ([*REQUIRED, "--surprise"], {}, "--surprise"),
        ([*REQUIRED, "extra"], {}, "extra"),
        ([*REQUIRED, "--listen"], {}, "--listen needs a value"),
        ([*REQUIRED, "--listen", "--health", "a:1"], {}, "--listen needs a value"),
        ([*REQUIRED, "--listen="], {}, "--listen needs a value"),
        ([*REQUIRED, "--conf", "/x"], {}, "--conf"),
        (REQUIRED, {"POSTERN_LISTEN": "19871"}, "--listen"),
        (REQUIRED, {"POSTERN_DRAIN_SECONDS": "soon"}, "POSTERN_DRAIN_SECONDS"),
        (REQUIRED, {"POSTERN_DRAIN_SECONDS": "-1"}, "POSTERN_DRAIN_SECONDS"),
    ],
)
def test_wrong_use_names_the_option(arguments: list[str], environment: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(arguments, environment)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "8000", ":8000", "a:", "a:b", "::1:80", "[::1]", "[]:80", "a:65536", "a:0", "a:-1", "http://a:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--upstream"):
        parse_address("--upstream", text)
