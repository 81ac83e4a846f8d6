"""A rehearsal in small: a tiny model and drawn pictures; miner, validator, runs, gates and control socket are real."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.rehearsal import report
from streetvision.rehearsal.rehearsal import Rehearsal
from streetvision.rehearsal.report import Report
from streetvision.rehearsal.scale import Counts, Scale
from streetvision.rehearsal.sets import Sets
from streetvision.retrain_log.records import RunState
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore

from ..retrain.streets import RECIPE, draw, tiny_model

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

COUNTS = Counts(day=40, night=140, frozen_day=40, frozen_night=40, later=20, poisoned=80, test=40)
SMALL = Scale(
    COUNTS,
    RECIPE,
    period_s=0.1,
    listen_s=2.0,
    settings={
        "ROLLOUT_MIN_AGREEMENT": "0.2",
        "ROLLOUT_MAX_SHIFT": "1",
        "ROLLOUT_MIN_SAMPLES": "20",
        "RETRAIN_MIN_AGREEMENT": "0",
        "RETRAIN_SHADOW_MINUTES": "0.02",
        "MODEL_COMPILE": "false",
        "MODEL_THREADS": "1",
        "AXON_REQUESTS_PER_MINUTE": "100000",
    },
)
"""The first model has learned nothing: it agrees with a good one on half of the streets, a spoiled one on none."""


def draw_small(sets: Sets, counts: Counts, seed: int) -> None:
    """Day and night look alike here: the first model knows neither."""
    draw(sets.day, range(counts.day))
    draw(sets.night, range(1000, 1000 + counts.night))
    draw(sets.later, range(1500, 1500 + counts.later))
    draw(sets.poisoned, range(2000, 2000 + counts.poisoned), wrong=lambda number: number % 4 < 2)
    draw(sets.frozen, range(3000, 3000 + counts.frozen_day + counts.frozen_night))
    draw(sets.test_day, range(4000, 4000 + counts.test))
    draw(sets.test_night, range(5000, 5000 + counts.test))


def small(folder: Path, tell: Callable[[Mapping[str, Any]], None]) -> Rehearsal:
    model = tiny_model(folder / "model", "1.0.0")
    Registry(folder / "state" / REGISTRY_FOLDER).add_folder(model, source="a test")
    return Rehearsal(folder, tell, SMALL, model="1.0.0", draw=draw_small)


def running_in(folder: Path) -> list[str]:
    """Process ids by the state folder in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if f"STREETVISION_STATE_DIR={folder}".encode() in (place / "environ").read_bytes():
                found.append(place.name)
    return found


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_an_improvement_is_promoted_a_defect_taken_back_and_poison_refused(tmp_path: Path) -> None:
    events: list[Mapping[str, Any]] = []
    found: Report = small(tmp_path, events.append).carry_out()
    assert found.problems == [], [event for event in events if event["event"] != "run"]
    assert [(one.name, one.state) for one in found.endings] == [
        ("improvement", RunState.PROMOTED),
        ("regression", RunState.ROLLED_BACK),
        ("poison", RunState.REFUSED),
    ]
    assert found.figures[report.WITHOUT].model == "1.0.0"
    assert found.figures[report.WITH].model == "1.1.0"
    assert found.gain > 0.2
    assert Registry(tmp_path / "state" / REGISTRY_FOLDER).active() == "1.1.0"
    runs = RetrainStore(tmp_path / "state" / FOLDER).runs()
    assert [run.state for run in runs] == [RunState.REFUSED, RunState.ROLLED_BACK, RunState.PROMOTED]


def test_nothing_is_left_running_when_it_is_interrupted(tmp_path: Path) -> None:
    seen: list[str] = []

    def interrupt(event: Mapping[str, Any]) -> None:
        if event["event"] == "part" and event["what"].startswith("the stream shifts"):
            seen.extend(running_in(tmp_path))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # as Ctrl-C raises it
        small(tmp_path, interrupt).carry_out()
    assert len(seen) >= 2, "the miner and the validator"
    assert running_in(tmp_path) == []
