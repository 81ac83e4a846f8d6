"""How steps have heavy work done, and what they tell it of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from streetvision.retrain.child import FOLDER, Bounds, JobStopped, Tell, run_job
from streetvision.retrain.step import Context, Stopped
from streetvision.settings.settings import Settings


class Work(Protocol):
    """Does a job for a step: in a process of its own, or as a test likes it."""

    def __call__(
        self, context: Context, job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """The job's result; raises OperatorError, or JobStopped where `stop` asked for it."""
        ...


def in_child(
    context: Context, job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]
) -> dict[str, Any]:
    """As the operator's runs have it done."""
    bounds = bounds_of(context.settings)
    return run_job(job, request, bounds, tell=tell, stop=stop, clock=context.clock.monotonic)


def bounds_of(settings: Settings) -> Bounds:
    """What the jobs of a run may take."""
    wanted = settings.retrain
    return Bounds(wanted.memory_gib, wanted.gpu_share, wanted.nice)


def done(work: Work, context: Context, job: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a job that nothing but the operator may stop."""
    context.check_stop()
    try:
        return work(context, job, {FOLDER: str(context.folder), **request}, context.tell, context.stop)
    except JobStopped:
        raise Stopped from None


def device(settings: Settings) -> str:
    """Where models are judged: where they serve, unless retraining is to leave the GPU alone."""
    return "cpu" if settings.retrain.device == "cpu" else settings.device


def standards(settings: Settings) -> dict[str, Any]:
    """The fields of gates.Standards. What the miner's own gates would surely take off again is not put on."""
    wanted, rollout = settings.retrain, settings.rollout
    tried = {"min_agreement": max(wanted.min_agreement, rollout.min_agreement), "max_shift": rollout.max_shift}
    untried = {"min_agreement": wanted.min_agreement, "max_shift": 1.0}
    common = {"accept": wanted.accept, "max_loss": wanted.max_loss, "max_doubt": wanted.max_doubt}
    return common | (tried if wanted.deploy else untried)


def list_file(context: Context) -> Path:
    """The list of the run's pictures; its name is what a model's card says of the data."""
    return context.folder / f"retraining-{context.run.id}.jsonl"
