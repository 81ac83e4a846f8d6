"""Conducts a rehearsal: everything is real above the mocked chain - miner, validator, training, gates, control socket.

Streets by day become streets in a wet night, which the model does not know. Labels arrive; a run learns from them and
is promoted. A run with a spoiled model is taken back by the miner, and one with turned labels is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.models.versions import BUNDLED
from streetvision.rehearsal import report
from streetvision.rehearsal.processes import Program, environment_of, miner, program, validator
from streetvision.rehearsal.report import Ending, Report
from streetvision.rehearsal.scale import Scale
from streetvision.rehearsal.sets import LATER, POISONED, STREETS, Sets, draw_sets, label
from streetvision.rehearsal.spoiling import spoiled_parts
from streetvision.rehearsal.stream import Stream
from streetvision.retrain.running import Asked, Surroundings, retrain
from streetvision.retrain.step import Clock, Tell
from streetvision.retrain_log.records import RunRecord, RunState, StepName
from streetvision.settings.loading import load_settings
from streetvision.settings.settings import Settings

LOOK_S = 0.2
BETWEEN = "between"
"""The part in which nothing is counted."""


@dataclass
class Rehearsal:
    """One, in a folder of its own."""

    folder: Path
    """Empty; its path is short, since a Unix socket's name may have about 100 characters."""
    tell: Tell
    scale: Scale = field(default_factory=Scale)
    seed: int = 0
    model: str = BUNDLED
    """Serves first: a version of the registry in `state`, or the bundled one."""
    draw: Callable[[Sets, Any, int], None] = draw_sets
    tries_to_harm: bool = True
    """Whether a spoiled model and turned labels are tried as well."""

    def __post_init__(self) -> None:
        self.state = self.folder / "state"
        self.sets = Sets(self.folder / "pictures")
        self.stream = Stream()
        self.endings: list[Ending] = []
        self._began = time.monotonic()

    def carry_out(self) -> Report:
        """From the first picture to the table; raises OperatorError when it cannot go on."""
        self._part("drawing streets by day and by night")
        self.draw(self.sets, self.scale.counts, self.seed)
        self.state.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "recipe.toml").write_text(self.scale.recipe + f"seed = {self.seed}\n")
        first = self._serving()
        self._part("starting the miner on the mock network")
        with miner(self.state, self.model, self._environment()) as serving:
            with self._asked(self.sets.day):
                self._part("the validators ask streets by day", report.DAY)
                self._listen(serving)
            with self._asked(self.sets.night):
                self._part("the stream shifts: streets in a wet night", report.NIGHT)
                self._listen(serving)
                self._improve()
                self._part("the validators go on asking", report.AFTER)
                self._listen(serving)
                last = self._serving()
                if self.tries_to_harm:
                    self._spoil()
                    self._poison()
        self._part("judging both models on streets that nothing has seen")
        return self._report(serving.code, first, last)

    def _improve(self) -> None:
        self._part("labels of the night arrive, and a run learns from them")
        label(self.state, STREETS, self.sets.day, self.sets.night)
        self._note("improvement", (RunState.PROMOTED,), lambda: self._run(self._environment()))

    def _spoil(self) -> None:
        self._part("a training with a defect: its model says the contrary, and the gates before the miner are blind")
        label(self.state, LATER, self.sets.later)
        settings = self._settings(RETRAIN_SHADOW_MINUTES="0", RETRAIN_DATASETS=f"{STREETS},{LATER}")
        around = Surroundings(_clock(), self._tell_run, lambda: False)

        def run() -> RunRecord:
            result = retrain(Asked(force=True, fresh=True), settings, spoiled_parts(), around)
            if result.run is None:
                raise OperatorError(f"no run began: {'; '.join(one.reason for one in result.plan.unmet())}")
            return result.run

        self._note("regression", (RunState.ROLLED_BACK, RunState.REFUSED), run)

    def _poison(self) -> None:
        self._part("more labels arrive, and half of them are wrong")
        label(self.state, POISONED, self.sets.poisoned)
        environment = self._environment(RETRAIN_DATASETS=f"{STREETS},{LATER},{POISONED}")
        self._note("poison", (RunState.REFUSED,), lambda: self._run(environment))

    def _note(self, name: str, wanted: tuple[RunState, ...], run: Callable[[], RunRecord | Mapping[str, Any]]) -> None:
        began = time.monotonic()
        ended = run()
        fields = ended if isinstance(ended, Mapping) else {"state": ended.state, "reason": ended.reason}
        ending = Ending(name, wanted, RunState(fields["state"]), fields["reason"], time.monotonic() - began)
        self.endings.append(ending)
        self.stream.part = BETWEEN
        self.tell({"event": "ended", "run": name, "state": ending.state, "reason": ending.reason})

    def _run(self, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """`streetvision retrain run` as the operator would; how it ended."""
        ends: list[Mapping[str, Any]] = []

        def hear(event: Mapping[str, Any]) -> None:
            if event.get("event") in ("end", "no_run"):
                ends.append(event)
            elif "event" in event:
                self._tell_run(event)

        command = ["-m", "streetvision.cli", "retrain", "run", "--fresh", "--json"]
        with program(command, environment, self.folder, hear) as running:
            code = running.wait()
        if not ends or ends[-1]["event"] == "no_run":
            raise OperatorError(f"the run ended with code {code} before its decision: {running.last_words}")
        return ends[-1]

    def _tell_run(self, event: Mapping[str, Any]) -> None:
        """What a run tells; requests beside a training are counted apart."""
        if event.get("event") == "training":
            self.stream.part = report.TRAINING
        elif event.get("event") == "step_done" and event.get("step") == StepName.TRAIN:
            self.stream.part = BETWEEN
        self.tell({"event": "run", "what": dict(event)})

    def _part(self, what: str, name: str = BETWEEN) -> None:
        self.stream.part = name
        self.tell({"event": "part", "what": what, "seconds": round(time.monotonic() - self._began, 1)})

    @contextmanager
    def _asked(self, pictures: Path) -> Iterator[None]:
        environment = self._environment()
        with validator(self.state, pictures, self.scale.period_s, environment, self.stream.hear):
            yield

    def _listen(self, serving: Program) -> None:
        """For a while; longer where the machine is so slow that few challenges came."""
        part, wanted = self.stream.part, 0.5 * self.scale.listen_s / self.scale.period_s
        until, last = time.monotonic() + self.scale.listen_s, time.monotonic() + 10 * self.scale.listen_s
        while time.monotonic() < until or self.stream.count(part) < wanted:
            if serving.code is not None:
                raise OperatorError(f"the miner ended with code {serving.code}: {serving.last_words}")
            if time.monotonic() > last:
                raise OperatorError("too few challenges were answered: this machine is too slow, or has other work")
            time.sleep(LOOK_S)

    def _environment(self, **more: str) -> dict[str, str]:
        own = {
            "STREETVISION_STATE_DIR": str(self.state),
            "SUBTENSOR_NETWORK": "mock",
            "RETRAIN_DATASETS": STREETS,
            "RETRAIN_FROZEN": str(self.sets.frozen),
            "RETRAIN_RECIPE": str(self.folder / "recipe.toml"),
            "MODEL_URL": self.model,
        }
        return environment_of({**own, **self.scale.environment(), **more})

    def _settings(self, **more: str) -> Settings:
        return load_settings([], self._environment(**more), cwd=self.folder, warn=lambda _: None)

    def _serving(self) -> Path:
        """The folder of the model that serves now."""
        return serving_model(self._settings()).folder

    def _report(self, miner_exit: int | None, first: Path, last: Path) -> Report:
        parts = (report.DAY, report.NIGHT, report.TRAINING, report.AFTER)
        whole = self.stream.summary(*parts, BETWEEN)
        return Report(
            figures=report.judge(first, last, self.sets.test_day, self.sets.test_night),
            asked={part: self.stream.summary(part) for part in parts},
            endings=tuple(self.endings),
            lost=whole.challenges - whole.answered,
            miner_exit=miner_exit,
            seconds=time.monotonic() - self._began,
        )


def _clock() -> Clock:
    return Clock(lambda: datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic, time.sleep)
