"""Long work away from a terminal says now and then how far it is, and short work nothing."""

from __future__ import annotations

import pytest

from streetvision.cli import progress_lines, shared
from streetvision.cli.data_progress import add_progress
from streetvision.cli.models import progress_shown
from streetvision.cli.progress_lines import EVERY_S, ProgressLines
from streetvision.sources.adding import AddReport
from streetvision.sources.source import Amount


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, EVERY_S, EVERY_S + 1, 2 * EVERY_S, 3 * EVERY_S])
    advance = (lines := ProgressLines(clock=lambda: next(times))).counting("judging", 4_000)
    for _ in range(3):
        advance(1_000)
    lines.show("fetching", 5, None, "3 MB/s")
    lines.show("reading", 7, 0)
    assert capsys.readouterr().err.splitlines() == ["judging: 2,000 of 4,000", "fetching: 5  3 MB/s", "reading: 7"]


def test_commands_say_it_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shared.progress_bar("judging", 3) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress_lines, "EVERY_S", 0.0)
    with shared.progress_bar("judging", 3) as advance:
        advance(1)
        advance(1)
    with progress_shown("adding") as step:
        step("copying", 1, 2)
    with add_progress("streets", Amount(9)) as heard:
        heard(AddReport("streets", read=3))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[:3] == ["judging: 1 of 3", "judging: 2 of 3", "adding: copying: 1 of 2"]
    assert lines[3].startswith("streets, pictures: 3 of 9  3 pictures, ")
    assert out == ""
