"""A dataset that is a list of pictures, wherever they lie: a JSON object a line, such as retraining writes.

Nothing is copied, so that it costs a night no disk; a picture that goes or changes meanwhile is left out by whoever
reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from streetvision.base.disk import sentences, write_atomically
from streetvision.sources.dataset import Example
from streetvision.sources.records import Record, read_records
from streetvision.sources.source import SourceError
from streetvision.sources.splitting import SPLITS
from streetvision.sources.stored import fingerprint_of

SUFFIX = ".jsonl"
"""By which `open_dataset` knows such a list."""


class ListedDataset:
    """The pictures of a list; raises SourceError when it cannot be read, or is none."""

    def __init__(self, file: Path) -> None:
        self.name = str(file)
        self._examples = [_example(file, number, record) for number, record in enumerate(read_records(file), 1)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, labels, splits and weights."""
        return fingerprint_of(self._examples)

    def examples(self, split: str | None = None) -> list[Example]:
        """Those of one split, or all, in the order of the list."""
        return [example for example in self._examples if split in (None, example.split)]


def write_list(file: Path, examples: Iterable[Example]) -> None:
    """Replace the list in one step; OperatorError when the disk cannot take it."""
    text = list_text(examples)
    with sentences(f"Writing {file}"):
        write_atomically(file, text)


def list_text(examples: Iterable[Example]) -> str:
    """What a list holds: a line of JSON for each."""
    lines = (json.dumps(asdict(one) | {"path": str(one.path)}, sort_keys=True) for one in examples)
    return "".join(f"{line}\n" for line in lines)


def _example(file: Path, number: int, record: Record) -> Example:
    texts: list[object]
    try:
        example = Example(**{**record, "path": Path(record["path"]), "weight": float(record["weight"])})
        texts = [example.group, example.split, example.sha256, example.source, *example.tags, *example.tags.values()]
    except (KeyError, TypeError, ValueError, AttributeError):
        texts = [None]  # no text, so nothing else is looked at
    sound = all(isinstance(one, str) for one in texts) and isinstance(example.label, bool)
    if not sound or example.split not in SPLITS or not 0.0 < example.weight <= 1.0:
        raise SourceError(f"Line {number} of {file} is no picture of a list: write the list again.")
    return example
