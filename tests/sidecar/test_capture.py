"""The redirect's rules as text, and the program around them with an nft that misbehaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar import capture
from postern_sidecar.capture import CaptureError, Rules, expected_listing, listing, parse_rules, ruleset

RULES = Rules(guard=8000, listen=19871, health=19872, exempt=(9090,), uid=64321)


def as_nft_lists(rules: Rules) -> str:
    """What a good nft reports: handles and its own version besides, in another order."""
    entries = [{kind: {**body, "handle": 7} for kind, body in entry.items()} for entry in expected_listing(rules)]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.9"}}, *entries]})


def test_rules_are_one_transaction_that_replaces_the_table() -> None:
    assert ruleset(RULES).splitlines()[:3] == [
        "add table inet postern",
        "delete table inet postern",
        "table inet postern {",
    ]


def test_rules_guard_both_ways_in_and_drop_the_rest() -> None:
    lines = [line.strip() for line in ruleset(RULES).splitlines()]
    assert "tcp dport 8000 redirect to :19871" in lines
    assert 'oifname "lo" meta skuid != 64321 tcp dport 8000 redirect to :19871' in lines
    assert lines.index("tcp dport { 9090, 19871, 19872 } accept") < lines.index("meta l4proto tcp drop")
    assert 'oifname "lo" meta skuid != 64321 tcp dport 8000 drop' in lines
    assert sum("priority -90;" in line for line in lines) == 2


@given(ports=st.lists(st.integers(1, 65535), min_size=3, max_size=6, unique=True), uid=st.integers(1, 2**32 - 2))
def test_guarded_port_is_never_open_and_every_listing_reads_back(ports: list[int], uid: int) -> None:
    rules = Rules(ports[0], ports[1], ports[2], tuple(sorted(ports[3:])), uid)
    assert rules.guard not in rules.open_ports
    assert listing(as_nft_lists(rules)) == expected_listing(rules)


@pytest.mark.parametrize(
    ("old", "new"),
    [("8000", "8001"), ("64321", "0"), ("19871", "19870"), ('"drop"', '"accept"'), ('"!="', '"=="'), ("-90", "-100")],
)
def test_listing_that_differs_in_anything_is_noticed(old: str, new: str) -> None:
    text = as_nft_lists(RULES)
    assert old in text
    assert listing(text.replace(old, new, 1)) != expected_listing(RULES)


def test_protocol_given_by_number_is_the_same() -> None:
    text = as_nft_lists(RULES)
    assert '"right": "tcp"' in text
    assert listing(text.replace('"right": "tcp"', '"right": 6')) == expected_listing(RULES)
    assert listing(text.replace('"right": "tcp"', '"right": 17')) != expected_listing(RULES)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": [1]}', '{"nftables": [{"rule": 1}]}'])
def test_listing_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(CaptureError):
        listing(text)


def test_command_line_has_the_agreed_defaults() -> None:
    assert parse_rules(["--guard", "80"]) == Rules(80, 19871, 19872, (), 64321)
    given_all = ["--guard", "80", "--listen", "1", "--health", "2", "--exempt", "4", "--exempt", "3", "--uid", "5"]
    assert parse_rules(given_all) == Rules(80, 1, 2, (3, 4), 5)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--guard", "0"],
        ["--guard", "65536"],
        ["--guard", "http"],
        ["--guard", "80; drop"],
        ["--guard", "80", "--uid", "0"],
        ["--guard", "80", "--exempt", "80"],
        ["--guard", "19871"],
        ["--guard", "80", "--health", "19871"],
        ["--guard", "80", "extra"],
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = run(arguments, path=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def run(arguments: list[str], *, path: Path) -> subprocess.CompletedProcess[str]:
    """The program with nothing but path to find nft in; isolated: it needs the standard library alone."""
    return subprocess.run(
        [sys.executable, "-I", "-S", capture.__file__, *arguments],
        env={"PATH": str(path), "LISTING": str(path / "listing")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def fake_nft(directory: Path, script: str) -> None:
    (directory / "nft").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    os.chmod(directory / "nft", 0o755)


LIST = 'case "$1" in -j) /bin/cat "$LISTING" ;; *) /bin/cat > "$LISTING.written" ;; esac'


def test_program_writes_the_rules_and_succeeds_when_the_kernel_holds_them(tmp_path: Path) -> None:
    fake_nft(tmp_path, LIST)
    (tmp_path / "listing").write_text(as_nft_lists(RULES), encoding="utf-8")
    done = run(["--guard", "8000", "--exempt", "9090"], path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "listing.written").read_text(encoding="utf-8") == ruleset(RULES)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param(None, "nft is missing", id="no nft"),
        pytest.param("echo 'Error: syntax' >&2; exit 1", "Error: syntax", id="refused"),
        pytest.param("echo 'x: Operation not permitted' >&2; exit 1", "NET_ADMIN", id="no rights"),
        pytest.param("exit 3", "exit code 3", id="silent"),
        pytest.param(LIST, "other rules than were written", id="other rules"),
        pytest.param("/bin/cat >/dev/null; echo nonsense", "cannot be read", id="nonsense"),
    ],
)
def test_any_doubt_ends_with_one_line_and_exit_code_1(tmp_path: Path, script: str | None, says: str) -> None:
    if script is not None:
        fake_nft(tmp_path, script)
    (tmp_path / "listing").write_text(as_nft_lists(RULES), encoding="utf-8")
    done = run(["--guard", "8001", "--exempt", "9090"], path=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert says in done.stderr
