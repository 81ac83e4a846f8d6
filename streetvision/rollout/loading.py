"""From a version on disk to a lane that has shown it can serve; what fails leaves serving as it was and says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.faults import is_out_of_memory
from streetvision.engine.types import DeviceLost, EngineClosed, EngineError, ImageArray, PrepareStep, Runner
from streetvision.errors import OperatorError
from streetvision.models.golden import GOLDEN_COUNT, golden_images, golden_problem
from streetvision.models.versions import ModelVersion
from streetvision.registry.model_import import read_golden

if TYPE_CHECKING:
    from streetvision.engine.engine import Engine
    from streetvision.engine.lanes import Lane

Progress = Callable[[Mapping[str, Any]], None]
"""Hears what an operation is doing: `stage`, `done`, `total` and more."""
OpenRunner = Callable[[ModelVersion], Runner]
"""Loads a version's weights; called in a thread."""

TRIES = 3
"""A picture alone is timed up to so often: the thread stands back for serving, so one slow try proves nothing."""
PROBE = 2
"""Golden pictures that are enough to see a sick model, and few enough to be shown to one that serves."""


class ModelProblem(OperatorError):
    """A model cannot serve; the message is a clause that follows its version."""


class OutOfMemory(ModelProblem):
    """It does not fit beside what is loaded."""


def silent(step: Mapping[str, Any]) -> None:
    """Nobody watches."""


async def load(
    engine: Engine, open_runner: OpenRunner, model: ModelVersion, progress: Progress, too_slow_s: float
) -> Lane:
    """Prepare the model and show it the golden pictures; raises ModelProblem. A lane that is refused is gone again.

    A device that is lost meanwhile is no fault of the model: plain OperatorError, and the serving lane knows.
    """

    def tell(step: PrepareStep) -> None:
        progress({"stage": step.stage, "bucket": step.bucket, "done": step.done, "total": step.total})

    try:
        lane = await engine.prepare(lambda: open_runner(model), progress=tell)
    except EngineClosed as error:
        raise OperatorError(str(error)) from error
    except DeviceLost as error:
        _tell_serving(engine, error)
        raise OperatorError(str(error)) from error
    except (EngineError, OperatorError) as error:
        raise _problem(error) from error
    try:
        progress({"stage": "check", "done": 0, "total": 1})
        await check(lane, model, too_slow_s)
    except BaseException as error:
        if isinstance(error.__cause__, DeviceLost):
            _tell_serving(engine, error.__cause__)
        await asyncio.shield(engine.retire(lane))
        raise
    return lane


def _tell_serving(engine: Engine, error: DeviceLost) -> None:
    """What one lane of a process finds out of the device holds for the serving one too."""
    with suppress(EngineClosed):
        engine.route.active.device.lose(error)


async def check(lane: Lane, model: ModelVersion, too_slow_s: float) -> None:
    """The whole golden check of a loaded model: its speed alone, then its answers; raises ModelProblem."""
    await _check_speed(lane, too_slow_s)
    await _check_answers(lane, model, GOLDEN_COUNT, GOLDEN_COUNT * too_slow_s)


async def probe(lane: Lane, model: ModelVersion, too_slow_s: float) -> None:
    """Two golden pictures for a model that serves and is suspected; raises ModelProblem when it is sick."""
    started = time.perf_counter()
    await _check_answers(lane, model, PROBE, 2 * too_slow_s)
    if time.perf_counter() - started > too_slow_s:
        await _check_speed(lane, too_slow_s)


async def _check_speed(lane: Lane, too_slow_s: float) -> None:
    picture = (await _pictures(lane))[:1]
    fastest = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        await _answers(lane, picture, 2 * too_slow_s)
        fastest = min(fastest, time.perf_counter() - started)
        if fastest <= too_slow_s:
            return
    raise ModelProblem(f"is too slow: it takes {fastest:.2f} s for one picture where {too_slow_s:.2f} s are allowed")


async def _check_answers(lane: Lane, model: ModelVersion, count: int, patience: float) -> None:
    recorded = await asyncio.to_thread(_recorded, model)
    logits = await _answers(lane, (await _pictures(lane))[:count], patience)
    problem = golden_problem(logits, recorded, count)
    if problem is not None:
        raise ModelProblem(problem)


async def _answers(lane: Lane, pictures: ImageArray, patience: float) -> NDArray[np.float32]:
    try:
        async with asyncio.timeout(patience):
            return (await lane.check(pictures)).logits
    except TimeoutError:
        raise ModelProblem(f"is too slow: it gave no answer within {patience:.1f} s") from None
    except (EngineClosed, DeviceLost) as error:
        raise OperatorError(str(error)) from error
    except EngineError as error:
        raise ModelProblem(f"failed on golden pictures ({_with_cause(error)})") from error


async def _pictures(lane: Lane) -> ImageArray:
    return await asyncio.to_thread(golden_images, lane.input_size)


def _recorded(model: ModelVersion) -> tuple[float, ...] | None:
    try:
        return read_golden(model.folder)
    except OperatorError as error:
        raise ModelProblem(f"has unreadable golden answers ({error})") from error


def _problem(error: Exception) -> ModelProblem:
    """The clause for what `prepare` raised; the reason may lie below it."""
    if is_out_of_memory(error):
        return OutOfMemory("does not fit into the memory beside the models that are loaded")
    return ModelProblem(f"could not be made ready ({_with_cause(error)})")


def _with_cause(error: Exception) -> str:
    """One line; the engine's own message does not say what a model raised."""
    cause = next(iter(str(error.__cause__).splitlines()), "") if isinstance(error, EngineError) else ""
    text = str(error).rstrip(".")
    return f"{text}: {cause}" if cause and error.__cause__ and cause not in text else text
