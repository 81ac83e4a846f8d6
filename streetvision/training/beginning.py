"""Making a run's folder: everything that can be refused is refused before the first step."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.state_folder import make_state_folder
from streetvision.models.versions import is_version
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe, RecipeError
from streetvision.training.run_folder import FOLDER, RunFolder, RunRecord, new_name
from streetvision.training.starting import Origins, prepare_start


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for."""

    recipe: Recipe
    named: str
    """The recipe's name or file."""
    version: str = ""
    """Under which to add the model; empty: the next one."""


def begin(wish: Wish, pictures: Pictures, state: Path, origins: Origins, *, started: str) -> RunFolder:
    """A new run, ready to learn; raises OperatorError and leaves nothing."""
    if wish.version and not is_version(wish.version):
        raise RecipeError(f"{wish.version!r:.100} is no semantic version such as 1.0.0")
    make_state_folder(state)
    run = RunFolder(state / FOLDER / new_name(state, started, wish.named))
    record = RunRecord(
        name=run.name,
        recipe=wish.named,
        sets=pictures.sets,
        fingerprint=pictures.fingerprint,
        started=started,
        version=wish.version,
    )
    run.create(record, wish.recipe)
    try:
        licence = prepare_start(wish.recipe.model, run.start, origins, wish.recipe.run.seed)
        run.update(licence=licence)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run
