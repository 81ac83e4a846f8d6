"""What `streetvision train` says of a long step where stderr is no terminal."""

from __future__ import annotations

import json

import pytest

from streetvision.cli.progress_lines import EVERY_S
from streetvision.cli.train_view import View


def features(done: int) -> dict[str, object]:
    return {"event": "features", "part": "train", "done": done, "total": 4000}


def test_away_from_a_terminal_a_line_now_and_then_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    view = View(None, as_json=False, clock=lambda: now)
    view.tell(features(32))
    now = EVERY_S
    view.tell(features(1056))
    view.tell(features(1088))
    now += EVERY_S
    step = {"event": "progress", "step": 3, "total_steps": 90, "loss": 0.5, "pictures_per_second": 81.2}
    view.tell(step)
    now += EVERY_S
    view.importing("fetching", 12, 0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "features of train: 1,056 of 4,000\ntraining: 3 of 90  loss 0.5000 81/s\nfetching: 12\n"


def test_a_program_hears_every_event_and_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    view = View(None, as_json=True, clock=lambda: now)
    for done in (32, 64):
        now += EVERY_S
        view.tell(features(done))
        view.importing("fetching", done, 0)
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [features(32), features(64)]
    assert err == ""
