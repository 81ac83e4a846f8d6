"""A training that learns at Modal and ends here: what goes there, what comes back, and when it has cost enough.

Only learning is done there. The run's folder is made here as for any training, its pictures and weights are sent, its
checkpoints come back, and the best weights become a version here; so a run can begin there and go on here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from streetvision.errors import OperatorError
from streetvision.serverless.money import Money
from streetvision.sources.dataset import Example
from streetvision.sources.listed import list_text
from streetvision.training.keeping import Stopped
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe
from streetvision.training.run_folder import DONE, FAILED, RUNNING, STOPPED, RunFolder
from streetvision.training.running import Surroundings

RUNS, PICTURES = "runs", "pictures"
"""Folders of the training volume: a run by its name, a picture by its bytes' sha256."""
TRAIN_LIST, VAL_LIST = "train.jsonl", "val.jsonl"
SENT = (
    "run.json",
    "recipe.toml",
    "start/model.json",
    "start/model.safetensors",
    "last.ckpt",
    "best.safetensors",
    "metrics.jsonl",
)
"""Of a run's folder, as far as they are there."""
FETCHED = ("last.ckpt", "best.safetensors", "metrics.jsonl")
"""What learning changes."""
ENDED = "ended"
"""The event that is told last: state, why, step, total_steps, seconds."""

Event = Mapping[str, Any]


class Job(Protocol):
    """A training that is under way."""

    def events(self) -> Iterator[Event]:
        """What it tells, the last one ENDED; an empty event now and then while it tells nothing. OperatorError."""
        ...

    def stop(self) -> None:
        """Ask it to save and end."""
        ...


class Place(Protocol):
    """Where trainings are done: a volume and a GPU. Every method raises OperatorError."""

    def pictures(self) -> set[str]:
        """Names of the pictures there."""
        ...

    def put(self, files: Mapping[str, Path | bytes]) -> None:
        """Files by their places on the volume; all of them or none."""
        ...

    def fetch(self, place: str, file: Path) -> bool:
        """Bring a file here in one step; False where it is not there."""
        ...

    def begin(self, run: str, seconds: float) -> Job:
        """Learn for so many seconds at most."""
        ...


def require_movable(recipe: Recipe) -> None:
    """Refuse a recipe that cannot be learnt there; raises OperatorError."""
    if recipe.run.devices > 1:
        raise OperatorError("a training at Modal takes one GPU: leave run.devices out of the recipe")
    if recipe.run.log == "wandb":
        raise OperatorError("the key of W&B is not sent to Modal: train with --set run.log=none, or =tensorboard")


def learn_away(run: RunFolder, pictures: Pictures, around: Surroundings, place: Place, money: Money) -> None:
    """Learn there, and bring home what was learnt; a `running.Learning` but for place and money.

    Raises OperatorError, and Stopped when it ended before its end.
    """
    seconds = money.seconds
    require_movable(run.recipe())
    _send(run, pictures, place)
    spent = run.update(state=RUNNING, problem="").seconds
    ended: Event = {"state": FAILED, "why": "it ended without a word", "seconds": 0.0}
    try:
        ended = _listen(place.begin(run.name, seconds), around)
    finally:
        try:
            for name in FETCHED:
                place.fetch(f"{RUNS}/{run.name}/{name}", run.path / name)
        finally:  # the network may be gone
            steps = {name: int(ended[name]) for name in ("step", "total_steps") if name in ended}
            state = RUNNING if ended["state"] == DONE else ended["state"]  # it is done when it is a version
            run.update(state=state, problem=ended["why"], seconds=spent + float(ended["seconds"]), **steps)
    if ended["state"] == FAILED:
        raise OperatorError(str(ended["why"]))
    if ended["state"] == STOPPED:
        raise Stopped(f"{ended['why']} after step {run.record().step:,} of {run.record().total_steps:,}")


def listing(examples: Sequence[Example]) -> bytes:
    """Examples as a list of sources/listed.py, with their places on the volume."""
    return list_text(replace(one, path=Path("/", PICTURES, stored_name(one))) for one in examples).encode()


def stored_name(example: Example) -> str:
    """Of a picture on the volume; the same bytes are sent once, whatever sets they are in."""
    if not example.sha256:
        raise OperatorError(f"{example.path} is not of a stored dataset: add it with `streetvision data add`")
    return f"{example.sha256}{example.path.suffix.lower()}"


def moved(examples: Sequence[Example], folder: Path) -> tuple[Example, ...]:
    """The same examples, their pictures below `folder`."""
    return tuple(replace(one, path=folder / one.path.name) for one in examples)


def _send(run: RunFolder, pictures: Pictures, place: Place) -> None:
    there = place.pictures()
    wanted = {stored_name(one): one.path for one in (*pictures.train, *pictures.val)}
    files: dict[str, Path | bytes] = {f"{PICTURES}/{name}": path for name, path in wanted.items() if name not in there}
    folder = f"{RUNS}/{run.name}"
    files |= {f"{folder}/{name}": run.path / name for name in SENT if (run.path / name).is_file()}
    files |= {f"{folder}/{TRAIN_LIST}": listing(pictures.train), f"{folder}/{VAL_LIST}": listing(pictures.val)}
    place.put(files)


def _listen(job: Job, around: Surroundings) -> Event:
    asked = False
    for event in job.events():
        if not asked and around.stop():
            asked = True
            job.stop()
        if event.get("event") == ENDED:
            return event
        if event:
            around.tell(dict(event))
    raise OperatorError("the training at Modal ended without a word: look at the app's page, and resume the run")
