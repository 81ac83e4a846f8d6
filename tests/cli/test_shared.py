"""What several commands share."""

from __future__ import annotations

import json

import pytest

from streetvision.cli.shared import print_json


def test_lines_of_json_can_be_read_by_every_reader(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": float("nan"), "deep": {"auc": [1.0, float("inf"), (2, "x\n\u2028")]}, "none": None})
    (line,) = capsys.readouterr().out.splitlines()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    told = json.loads(line, parse_constant=refuse)
    assert told == {"loss": None, "deep": {"auc": [1.0, None, [2, "x\n\u2028"]]}, "none": None}
