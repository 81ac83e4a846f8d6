"""Where datasets lie: `datasets/NAME/` in the state folder, each a database and its pictures."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from streetvision.base.disk import exclusive, sentences, staging
from streetvision.sources.schema import DATABASE
from streetvision.sources.source import SourceError

DATASETS = "datasets"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def dataset_folder(name: str, state: Path) -> Path:
    """Of a dataset, whether or not it is there; SourceError for a name that could leave the folder."""
    if _NAME.fullmatch(name) is None:
        raise SourceError(f"{name!r:.80} is no name for a dataset: use small letters, digits, dots and dashes.")
    return state / DATASETS / name


def dataset_names(state: Path) -> list[str]:
    """Of all that were added, sorted."""
    root = state / DATASETS
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name) and (path / DATABASE).is_file())


def remove_dataset(name: str, state: Path) -> None:
    """Delete a dataset with its pictures, in one step; OperatorError while another process writes it."""
    folder = existing_folder(name, state)
    with sentences(f"Removing {name}"), exclusive(folder, patience_s=0.0), staging(folder.parent) as place:
        folder.rename(place / name)


def existing_folder(name: str, state: Path) -> Path:
    """The folder of a dataset that was added; SourceError that names the nearest one."""
    folder = dataset_folder(name, state)
    if not (folder / DATABASE).is_file():
        raise SourceError(f"There is no dataset {name!r}: {_remedy(name, state)}")
    return folder


def _remedy(name: str, state: Path) -> str:
    known = dataset_names(state)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    add = "add one with `streetvision data add`"
    return (f"there is {', '.join(known[:10])}; or {add}" if known else add) + "."
