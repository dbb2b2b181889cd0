import io

import pytest

from examples.demo.narrator import Narrator, StepFailed, expect


def test_story_is_told_in_plain_lines() -> None:
    stream = io.StringIO()
    narrator = Narrator(stream)

    narrator.step("First")
    narrator.does("word " * 30)
    narrator.command("one\ntwo")
    narrator.shows("a\n\nb")
    narrator.seen("fine")
    narrator.step("Second")

    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["", "1. First"]
    assert all(len(line) <= 116 for line in lines)
    assert lines[4:] == ["   $ one", "     two", "     | a", "     |", "     | b", "   OK: fine", "", "2. Second"]


def test_step_that_differs_says_what_was_expected_and_what_was_seen() -> None:
    expect(True, "nothing", None)

    with pytest.raises(StepFailed, match="expected status 401, but saw: 200"):
        expect(False, "status 401", 200)
