"""A run from where it stands to a version in the registry, in this process or in one for each GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.model_import import ImportProgress, no_progress
from streetvision.registry.registry import Registry
from streetvision.training.finishing import CANDIDATE, added_before, finish, require_free, write_model
from streetvision.training.fit import learn
from streetvision.training.keeping import Stopped, Tell
from streetvision.training.launching import launch
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe
from streetvision.training.run_folder import DONE, FAILED, RUNNING, STOPPED, WORK, RunFolder


@dataclass(frozen=True)
class Surroundings:
    """What a run needs of the outside."""

    registry: Registry
    tell: Tell
    created: Callable[[], str]
    """The present time, ISO 8601 in UTC."""
    stop: Callable[[], bool] = lambda: False
    accelerator: str = "auto"
    """`cpu` keeps a run off the GPU."""
    clock: Callable[[], float] = time.monotonic
    progress: ImportProgress = no_progress


Learning = Callable[[RunFolder, Pictures, Surroundings], None]
"""From where a run stands to its last step, noting in the run how it went; raises OperatorError and Stopped."""


def train(
    run: RunFolder,
    pictures: Pictures | None,
    around: Surroundings,
    *,
    version: str = "",
    learning: Learning | None = None,
) -> ModelVersion:
    """Learn to the end and add the model; raises OperatorError, and Stopped when the operator ended it.

    Without pictures it learns no further and adds the best weights until now. `version` replaces the one that was
    wished. `learning` is done here by default.
    """
    with _working(run, pictures):
        added = added_before(run, around.registry)
        if added is not None:
            return added
        if version:
            run.update(version=version)
        require_free(around.registry, run.record().version)
        if pictures is not None:
            (learning or learn_here)(run, pictures, around)
        return finish(run, around.registry, created=around.created(), progress=around.progress)


def train_candidate(
    run: RunFolder, pictures: Pictures, around: Surroundings, *, learning: Learning | None = None
) -> Path:
    """Learn to the end and write the model into the run's folder, to be judged before `finish` adds it; as `train`."""
    with _working(run, pictures):
        (learning or learn_here)(run, pictures, around)
        return write_model(run, CANDIDATE, created=around.created())


@contextmanager
def _working(run: RunFolder, pictures: Pictures | None) -> Iterator[None]:
    """Keep others out of a run that can go on, over the pictures that it began with."""
    record = run.record()
    if record.state == DONE:
        raise OperatorError(f"the run {run.name} is done: it became version {record.version}")
    if pictures is not None and record.fingerprint != pictures.fingerprint:
        raise OperatorError(
            f"the pictures of {', '.join(record.sets)} have changed since {run.name} began: train anew, or keep its "
            "best weights with --finish"
        )
    with only_one(run.path, WORK, remedy="let it finish, or stop it with Ctrl-C"):
        yield


def learn_here(run: RunFolder, pictures: Pictures, around: Surroundings) -> None:
    """Learn on this machine, and note how it went and how long it took."""
    begun, spent = around.clock(), run.update(state=RUNNING, problem="").seconds
    state, problem = FAILED, "it ended without a word: see above"
    try:
        if processes(run.recipe(), around.accelerator) > 1:
            launch(run, processes(run.recipe(), around.accelerator), around.tell, around.stop)
        else:
            learn(run, pictures, around.tell, stop=around.stop, accelerator=around.accelerator, clock=around.clock)
        state, problem = RUNNING, ""
    except (Stopped, KeyboardInterrupt):
        state, problem = STOPPED, ""
        raise
    except OperatorError as error:
        problem = str(error)
        raise
    finally:
        run.update(state=state, problem=problem, seconds=spent + around.clock() - begun)


def processes(recipe: Recipe, accelerator: str = "auto") -> int:
    """One for each device that the recipe asks for; OperatorError when there are fewer GPUs."""
    gpus = torch.cuda.device_count() if accelerator != "cpu" else 0
    wanted = recipe.run.devices or max(gpus, 1)
    if gpus and wanted > gpus:
        raise OperatorError(f"run.devices = {wanted}, but this machine has {gpus}: set run.devices = 0 for all of them")
    return wanted
