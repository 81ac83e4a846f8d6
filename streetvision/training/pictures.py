"""The pictures of a run: what is learnt from and what is judged on, out of one dataset or several."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.sources.dataset import Dataset, Example
from streetvision.sources.source import SourceError

ADD = "add pictures with `streetvision data add`"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Examples with both classes in each part."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    sets: tuple[str, ...]
    fingerprint: str
    """SHA-256 over the datasets' own: the same exactly when training would see the same."""

    def card(self) -> dict[str, Any]:
        """What a model's card says of its data; cards are published, so of a folder here only the name."""
        sources = sorted({_without_path(example.source) for example in (*self.train, *self.val) if example.source})
        return {
            "sets": [set_name(name) for name in self.sets],
            "fingerprint": self.fingerprint,
            "train": _counts(self.train),
            "val": _counts(self.val),
            "sources": sources,
        }


def set_name(name: str) -> str:
    """A set's name as a card shows it: of a list of pictures on this machine not where it lies."""
    return Path(name).stem if "/" in name else name


def gather(datasets: Sequence[Dataset]) -> Pictures:
    """Join datasets; a picture that one of them judges on is never learnt from. Raises SourceError."""
    if not datasets:
        raise SourceError(
            "there is nothing to learn from: name a dataset with --data NAME, or in the recipe's data.sets"
        )
    for dataset in datasets:
        _require_split(dataset)
    val = _once(example for dataset in datasets for example in dataset.examples("val"))
    judged = {example.sha256 for example in val if example.sha256}
    train = [
        example
        for example in _once(example for dataset in datasets for example in dataset.examples("train"))
        if example.sha256 not in judged
    ]
    _require_classes(train, "to learn from")
    _require_classes(val, "to judge on")
    joined = "\n".join(sorted(dataset.fingerprint for dataset in datasets))
    digest = hashlib.sha256(joined.encode()).hexdigest() if len(datasets) > 1 else datasets[0].fingerprint
    return Pictures(tuple(train), tuple(val), tuple(dataset.name for dataset in datasets), digest)


def _require_split(dataset: Dataset) -> None:
    if not dataset.examples():
        raise SourceError(f"the dataset {dataset.name} is empty: {ADD}")
    if not dataset.examples("train"):
        raise SourceError(
            f"{dataset.name} has no split to learn from: add it as a dataset with `streetvision data add`, which "
            "splits it"
        )


def _once(examples: Iterable[Example]) -> list[Example]:
    found: dict[str, Example] = {}
    for example in examples:
        found.setdefault(example.sha256 or str(example.path), example)
    return list(found.values())


def _require_classes(examples: Sequence[Example], purpose: str) -> None:
    labels = {example.label for example in examples}
    if not labels:
        raise SourceError(f"there is no picture {purpose}: {ADD}")
    if len(labels) == 1:
        absent = "without roadwork" if labels == {True} else "with roadwork"
        raise SourceError(f"there is no picture {absent} {purpose}, and one class teaches nothing: {ADD}")


def _without_path(source: str) -> str:
    kind, _, place = source.partition(":")
    return f"{kind}:{Path(place).name}" if place.startswith("/") else source


def _counts(examples: Sequence[Example]) -> dict[str, int]:
    positives = sum(example.label for example in examples)
    return {"pictures": len(examples), "roadwork": positives}
