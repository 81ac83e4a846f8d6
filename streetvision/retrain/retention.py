"""What runs leave on the disk: their trainings. Those of the last few stay, older ones go, or nights would fill it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from streetvision.base.disk import sentences, staging
from streetvision.errors import OperatorError
from streetvision.retrain.pipeline import RUNS
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import StepName

KEPT = 3
"""Runs whose trainings stay, to look at their curves or to go on with."""
TRAINING = "training"
"""Key of the train step's output: the name of the training, whose folder is in TRAININGS."""
TRAININGS = "training"
"""Folder of all trainings in the state folder; those that no run made are not touched."""
_MOST = 1000


def tidy(state: Path, log: RetrainReader) -> tuple[str, ...]:
    """Remove the trainings of all but the last KEPT runs that began one; their names. Raises OperatorError."""
    removed = []
    for name in _trainings(state, log)[KEPT:]:
        folder = state / TRAININGS / name
        if Path(name).name != name or not folder.is_dir():
            continue
        with sentences(f"Removing the training {name}"), staging(folder.parent) as place:
            folder.rename(place / name)
        removed.append(name)
    return tuple(removed)


def training_of(log: RetrainReader, run: str) -> str:
    """The name of a run's training; empty where it did not train."""
    return str(log.outputs(run).get(StepName.TRAIN, {}).get(TRAINING, ""))


def validations_of(state: Path, training: str) -> list[dict[str, Any]]:
    """What each validation of a training found, in order of steps; empty where it was removed."""
    from streetvision.training.run_folder import find_run

    try:
        return find_run(state, training).metrics()
    except OperatorError:
        return []


def _trainings(state: Path, log: RetrainReader) -> list[str]:
    """Names of trainings, those of the newest runs first; also of runs that ended before theirs was done."""
    done = {run.id: training_of(log, run.id) for run in log.runs_that_did(StepName.TRAIN, _MOST)}
    made = {**_begun(state, log), **done}
    return [name for run in log.runs(_MOST) if (name := made.get(run.id, ""))]


def _begun(state: Path, log: RetrainReader) -> dict[str, str]:
    """Names of trainings by the run on whose list of pictures they were begun."""
    from streetvision.training.run_folder import all_runs

    found = {}
    for training in all_runs(state):
        with suppress(OperatorError):  # a damaged one is nobody's
            lists = [Path(name) for name in training.record().sets]
            if len(lists) == 1 and lists[0].parent.parent == log.folder / RUNS:
                found[lists[0].parent.name] = training.name
    return found
