"""Making a run's folder: everything that can be refused is refused before the first step."""

from __future__ import annotations

import shutil
from pathlib import Path

from streetvision.base.state_folder import make_state_folder
from streetvision.training.pictures import Pictures
from streetvision.training.run_folder import FOLDER, RunFolder, RunRecord, new_name
from streetvision.training.starting import Origins, prepare_start
from streetvision.training.wish import Wish


def begin(wish: Wish, pictures: Pictures, state: Path, origins: Origins, *, started: str) -> RunFolder:
    """A new run, ready to learn; raises OperatorError and leaves nothing."""
    make_state_folder(state)
    run = RunFolder(state / FOLDER / new_name(state, started, wish.named))
    record = RunRecord(
        name=run.name,
        recipe=wish.named,
        sets=pictures.sets,
        fingerprint=pictures.fingerprint,
        started=started,
        version=wish.version,
        data=pictures.card(),
    )
    run.create(record, wish.recipe)
    try:
        licence = prepare_start(wish.recipe.model, run.start, origins, wish.recipe.run.seed)
        run.update(licence=licence)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run
