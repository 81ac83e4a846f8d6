"""A run on disk: everything of a training until its model is a version, and all that resuming it takes.

<state_dir>/training/<run>/
    run.json, recipe.toml   what is trained, from which pictures, how it stands
    start/                  the weights it began with, as a checkpoint
    last.ckpt               Lightning's checkpoint: pickled, our own, read with weights_only
    best.safetensors        the weights that learnt, when they were judged best, and their answers
    metrics.jsonl           one line for each validation
    logs/                   curves for TensorBoard or W&B
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from streetvision.base.disk import sentences, write_atomically
from streetvision.base.state_folder import lock_holder
from streetvision.errors import OperatorError, reason
from streetvision.training.recipe import Recipe
from streetvision.training.recipe_file import read_recipe, to_toml

FOLDER = "training"
"""In the state folder."""
WORK = "training"
"""The name of the lock that a run in progress holds."""
PREPARED, RUNNING, STOPPED, FAILED, DONE = "prepared", "running", "stopped", "failed", "done"
FIGURES = ("step", "epoch", "best", "accuracy", "mcc", "auc", "calibrated_nll")
"""That each line of the metrics has, beside others."""
_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{0,79}")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What run.json says."""

    name: str
    recipe: str
    """A named recipe or a file, as the operator gave it."""
    sets: tuple[str, ...]
    fingerprint: str
    """Of the pictures."""
    started: str
    """ISO 8601 in UTC."""
    state: str = PREPARED
    step: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    """Spent training, over all its starts."""
    problem: str = ""
    """Why it failed."""
    version: str = ""
    """What it became; wanted until it is done."""
    licence: str = ""
    """Of the weights it began with."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the model's card will say of the pictures, which may be gone by then."""


class RunFolder:
    """One run; raises OperatorError with one sentence where its files cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path / "start"
        self.last = path / "last.ckpt"
        self.best = path / "best.safetensors"
        self.logs = path / "logs"
        self.model = path / "model"
        self._record = path / "run.json"
        self._metrics = path / "metrics.jsonl"

    @property
    def name(self) -> str:
        """As the operator names it."""
        return self.path.name

    def create(self, record: RunRecord, recipe: Recipe) -> None:
        """Make the folder with what is known before the first step."""
        with sentences("Making the run's folder"):
            self.path.mkdir(parents=True)
            write_atomically(self.path / "recipe.toml", to_toml(recipe))
        self._write(record)

    def recipe(self) -> Recipe:
        """All of it, as it is trained by."""
        return read_recipe(self.path / "recipe.toml")

    def record(self) -> RunRecord:
        """How it stands; one that nobody works on any more is not running."""
        known = {one.name for one in fields(RunRecord)}
        try:
            data = json.loads(self._record.read_text(encoding="utf-8"))
            kept = {key: value for key, value in data.items() if key in known}
            record = RunRecord(**{**kept, "sets": tuple(kept["sets"])})
            _require_types(record)
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise OperatorError(f"{self._record} is missing or damaged ({reason(error)}): train anew") from error
        running = record.state == RUNNING and lock_holder(self.path / f"{WORK}.lock") is None
        return replace(record, state=STOPPED) if running else record

    def update(self, **changes: Any) -> RunRecord:  # noqa: ANN401  # RunRecord's fields
        """Write some fields anew."""
        record = replace(self.record(), **changes)
        self._write(record)
        return record

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append what one validation found."""
        with sentences("Writing the metrics"), self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """What each validation found, in order of steps; one that a resumed run repeated counts once, the last time."""
        if not self._metrics.is_file():
            return []
        found: dict[int, dict[str, Any]] = {}
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            try:
                told = json.loads(line)
                sound = all(isinstance(told[name], int | float) for name in FIGURES)
            except (ValueError, KeyError, TypeError):
                continue  # a kill may leave half a line
            if sound:
                found[told["step"]] = told
        return [found[step] for step in sorted(found)]

    def _write(self, record: RunRecord) -> None:
        with sentences("Writing the run's state"):
            write_atomically(self._record, json.dumps(asdict(record), indent=2) + "\n")


def _require_types(record: RunRecord) -> None:
    """TypeError or KeyError for a file that only looks like ours."""
    for one in fields(RunRecord):
        if not isinstance(getattr(record, one.name), _TYPES.get(str(one.type), object)):
            raise TypeError(f"its {one.name} is wrong")
    if not all(isinstance(name, str) for name in record.sets) or not isinstance(record.data["val"]["pictures"], int):
        raise TypeError("its sets or data are wrong")


_TYPES: Mapping[str, Any] = {"str": str, "int": int, "float": int | float}


def all_runs(state: Path) -> list[RunFolder]:
    """Those in a state folder, oldest first."""
    folder = state / FOLDER
    found = folder.iterdir() if folder.is_dir() else []
    runs = [RunFolder(path) for path in found if (path / "run.json").is_file()]
    return sorted(runs, key=lambda run: run.name)


def find_run(state: Path, name: str) -> RunFolder:
    """The run of that name; OperatorError that says which ones there are."""
    run = RunFolder(state / FOLDER / name)
    if _NAME.fullmatch(name) and (run.path / "run.json").is_file():
        return run
    there = ", ".join(run.name for run in all_runs(state)) or "none yet"
    raise OperatorError(f"there is no run {name!r:.100}; there are: {there}")


def new_name(state: Path, started: str, recipe: str) -> str:
    """A name that no run has: the day, the minute, the recipe."""
    stem = re.sub(r"[^0-9a-z]+", "-", Path(recipe).stem.lower()).strip("-")[:40] or "recipe"
    base = f"{started[:10].replace('-', '')}-{started[11:16].replace(':', '')}-{stem}"
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, 1000))
    return next(name for name in names if not (state / FOLDER / name).exists())
