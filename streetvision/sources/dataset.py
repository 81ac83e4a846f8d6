"""A dataset as training and judging read it: checked pictures on disk with label, group, split and weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Example:
    """One picture that was decoded once and found sound."""

    path: Path
    label: bool
    group: str
    split: str
    """`train`, `val` or `test`; near duplicates and pictures of one group share it."""
    weight: float = 1.0
    sha256: str = ""
    """Of the file's bytes."""
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class Dataset(Protocol):
    """What training and judging ask of a dataset."""

    @property
    def name(self) -> str:
        """As an operator calls it."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over contents, labels and splits: the same exactly when training on it would see the same."""
        ...

    def examples(self, split: str | None = None) -> list[Example]:
        """Those of one split, or all, in a stable order."""
        ...
