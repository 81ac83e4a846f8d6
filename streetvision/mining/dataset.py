"""The FiftyOne dataset of one log: opened or made, its fields declared, its place in the log remembered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError
from streetvision.mining.database import Dataset, DatasetView, FiftyOne
from streetvision.mining.schema import declare, declare_newer

FORMAT = 1
"""Layout of the dataset; a newer one is refused rather than misread."""
_INFO = "streetvision"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log has been imported; kept in the dataset itself, so that both are always of one mind."""

    log: str
    """Folder of the log."""
    last_id: int = 0
    last_time: float = 0.0
    """Arrival of the row `last_id`: a log that was started anew has another row there, or none."""
    epoch: int = 0
    """How often the log was started anew; tells its rows from earlier ones with the same id."""
    format: int = FORMAT


def create_dataset(fo: FiftyOne, name: str, log: Path) -> Dataset:
    """The dataset of that name, made if there is none; raises OperatorError when it belongs to something else."""
    if name in fo.list_datasets():
        if not _half_made(fo.load_dataset(name)):
            return open_dataset(fo, name, log)
        fo.delete_dataset(name)
    dataset = fo.Dataset(name)
    declare(fo, dataset)
    remember(dataset, Place(str(log.resolve())))
    dataset.persistent = True
    return dataset


def _half_made(dataset: Dataset) -> bool:
    """Whether a process died between making the dataset and finishing it."""
    return not dataset.persistent and dataset.info.get(_INFO) is None


def open_dataset(fo: FiftyOne, name: str, log: Path | None = None) -> Dataset:
    """An existing dataset; raises OperatorError when there is none or it holds another log than `log`."""
    if name not in fo.list_datasets():
        raise OperatorError(f"there is no dataset {name!r} yet: make it with `streetvision mine sync`")
    dataset = fo.load_dataset(name)
    place = place_of(dataset)
    if log is not None and place.log != str(log.resolve()):
        raise OperatorError(
            f"dataset {name!r} holds the log in {place.log}, not that in {log}: name another dataset with --dataset"
        )
    declare_newer(fo, dataset)
    return dataset


def place_of(dataset: Dataset) -> Place:
    """What `remember` kept; raises OperatorError when the dataset is not one of ours or of a newer format."""
    kept: dict[str, Any] | None = dataset.info.get(_INFO)
    if kept is None:
        raise OperatorError(
            f"dataset {dataset.name!r} was not made from a prediction log: name another one with --dataset"
        )
    if kept["format"] > FORMAT:
        raise OperatorError(
            f"dataset {dataset.name!r} has format {kept['format']}, this version reads up to {FORMAT}: "
            "upgrade streetvision"
        )
    return Place(**kept)


def remember(dataset: Dataset, place: Place) -> None:
    """Keep the place; the rows up to it must be saved already."""
    dataset.info[_INFO] = asdict(place)
    dataset.save()


def save_view(dataset: Dataset, name: str, view: DatasetView, description: str) -> None:
    """Save a view under a name that the App lists, over an earlier one."""
    dataset.save_view(name, view, description=description, overwrite=True)
