"""Carries a run out: its steps in order, from the first one without an output, to one decision. Knows no step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streetvision.base.disk import sentences
from streetvision.errors import OperatorError, about
from streetvision.retrain.step import Clock, Context, Failed, Output, Promoted, RunEnd, Step, Tell
from streetvision.retrain_log.records import RunRecord, StepName
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings

RUNS = "runs"
"""In retraining's folder: a folder for each run."""
LOOKS = 100
"""At a trial, over the shorter of its two parts."""
SOONEST_S, LATEST_S = 0.2, 5.0
"""Bounds of the time between two of them."""


@dataclass(frozen=True)
class Pipeline:
    """The steps, and all they need."""

    steps: Mapping[StepName, Step]
    """In order."""
    settings: Settings
    store: RetrainStore
    clock: Clock
    tell: Tell
    stop: Callable[[], bool]

    def carry_out(self, run: RunRecord) -> RunRecord:
        """Do what is left of a run that the store knows as running; returns it as it ended.

        Raises OperatorError when its end cannot be written: it then counts as interrupted, and the next run goes on
        with it. A defect of a step ends it as failed, and is raised.
        """
        outputs = self.store.outputs(run.id)
        name = next(iter(self.steps))
        try:
            for name, step in self.steps.items():
                if name not in outputs:
                    outputs[name] = self._do(step, self.context(run, name, outputs))
        except RunEnd as end:
            return self._end(run, name, end)
        except OperatorError as error:
            return self._end(run, name, Failed(str(error)))
        except OSError as error:
            return self._end(run, name, Failed(about(error)))
        except Exception as error:
            self._end(run, name, Failed(f"a defect in the step {name} ({type(error).__name__}): please report it"))
            raise
        return self._end(run, None, Promoted(self._current(run).version))

    def context(self, run: RunRecord, name: StepName, outputs: Mapping[StepName, Output]) -> Context:
        """What a step of the run is given; makes the run's folder."""
        folder = self.store.folder / RUNS / run.id
        with sentences("Making the run's folder"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Context(
            settings=self.settings,
            run=self._current(run),
            name=name,
            folder=folder,
            store=self.store,
            outputs=dict(outputs),
            clock=self.clock,
            tell=lambda event: self.tell({"run": run.id, "step": name, **event}),
            stop=self.stop,
            poll_s=poll_s(self.settings.retrain),
        )

    def _do(self, step: Step, context: Context) -> Output:
        attempt = self.store.begin_step(context.run.id, context.name, self.clock.now())
        context = replace(context, attempt=attempt)
        context.tell({"event": "step", "attempt": attempt})
        context.check_stop()
        output = step(context)
        self.store.finish_step(context.run.id, context.name, output, self.clock.now())
        context.tell({"event": "step_done", "output": output})
        return output

    def _end(self, run: RunRecord, step: StepName | None, end: RunEnd) -> RunRecord:
        ended = replace(
            self._current(run), state=end.state, ended=self.clock.now(), reason=end.reason, remedy=end.remedy
        )
        self.store.end(ended, step)
        return ended

    def _current(self, run: RunRecord) -> RunRecord:
        """The run with what its steps added to it."""
        return self.store.run(run.id) or run


def poll_s(wanted: RetrainSettings) -> float:
    """Seconds between two looks at a trial: short ones, as of a rehearsal, are not to be waited for."""
    shorter = min(wanted.shadow_minutes or wanted.canary_minutes, wanted.canary_minutes)
    return min(LATEST_S, max(SOONEST_S, 60.0 * shorter / LOOKS))
