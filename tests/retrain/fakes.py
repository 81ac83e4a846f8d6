"""Steps that do nothing but leave a mark, and what a run needs around them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from streetvision.retrain.running import Asked, Parts, Result, Surroundings, retrain
from streetvision.retrain.step import Clock, Context, Output, Step
from streetvision.retrain_log.records import StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings

needs_schedule = pytest.mark.skipif(
    find_spec("apscheduler") is None and os.environ.get("STREETVISION_REQUIRE_EXTRAS") != "1",
    reason="the extra `retrain` is not installed",
)
START = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
WANTED = RetrainSettings(datasets="streets", frozen="held", min_labels=10)
OUTPUTS: Mapping[StepName, Output] = {
    StepName.DATASET: {"fingerprint": "ab12"},
    StepName.PUBLISH: {"version": "1.0.1"},
}


def settings_in(state: Path, wanted: RetrainSettings = WANTED) -> Settings:
    return replace(Settings(), state_dir=state, retrain=wanted)


@dataclass
class FakeTime:
    """Time that passes by sleeping alone."""

    seconds: float = 0.0

    def now(self) -> str:
        return (START + timedelta(seconds=self.seconds)).isoformat(timespec="seconds")

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(self.now, lambda: self.seconds, self.sleep)


def marking(name: StepName) -> Step:
    """A step that appends its name to `marks` in the run's folder."""

    def step(context: Context) -> Output:
        assert context.name is name
        with (context.folder / "marks").open("a") as file:
            file.write(f"{name}\n")
        return OUTPUTS.get(name, {"from": len(context.outputs)})

    return step


@dataclass
class World:
    """One state folder, its steps and its time; `events` is what was told."""

    state: Path
    time: FakeTime = field(default_factory=FakeTime)
    steps: dict[StepName, Step] = field(default_factory=lambda: {name: marking(name) for name in StepName})
    labels: Callable[[], int] = lambda: 99
    check: Callable[[Settings], None] = lambda _: None
    events: list[Mapping[str, Any]] = field(default_factory=list)
    abandoned: list[Context] = field(default_factory=list)
    tell: Callable[[Mapping[str, Any]], None] | None = None
    """Hears the events, in place of `events`."""
    signalled: Callable[[], bool] = lambda: False
    wanted: RetrainSettings = WANTED

    @property
    def store(self) -> RetrainStore:
        return RetrainStore(self.state / FOLDER)

    def run(self, asked: Asked | None = None) -> Result:
        parts = Parts(self.steps, self.abandoned.append, self.check, lambda *_: self.labels(), lambda _: "1.0.0")
        settings = settings_in(self.state, self.wanted)
        around = Surroundings(self.time.clock, self.tell or self.events.append, self.signalled)
        return retrain(asked or Asked(), settings, parts, around)

    def marks(self) -> list[str]:
        return [line for path in sorted(self.state.rglob("marks")) for line in path.read_text().split()]


def once(error: BaseException, then: Step) -> Step:
    """Fails the first time."""
    calls: Iterator[int] = count()

    def step(context: Context) -> Output:
        if next(calls) == 0:
            raise error
        return then(context)

    return step
