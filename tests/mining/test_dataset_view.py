"""An added dataset in FiftyOne: labels, splits and doubts to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streetvision.mining.dataset_view import DOUBTS, load_examples
from streetvision.sources.dataset import Example
from streetvision.sources.opening import open_dataset

from ..sources.pictures import class_folders

NAME = "data-test"


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    return open_dataset(str(class_folders(tmp_path / "set", 3)), state=tmp_path).examples()


def test_doubtful_labels_are_a_view_the_surest_first(fo: Any, examples: list[Example]) -> None:
    doubts = {examples[1].sha256: 0.6, examples[4].sha256: 0.9}
    for _ in range(2):  # a second time in place of the first
        dataset = load_examples(fo, NAME, examples, doubts)
    try:
        assert len(dataset) == 6
        assert sorted(dataset.values("label.label")) == ["none"] * 3 + ["roadwork"] * 3
        assert dataset.load_saved_view(DOUBTS).values("sha256") == [examples[4].sha256, examples[1].sha256]
        assert set(dataset.values("split")) == {"test"}
    finally:
        fo.delete_dataset(NAME)


def test_a_dataset_without_doubts_opens_too(fo: Any, examples: list[Example]) -> None:
    dataset = load_examples(fo, NAME, examples, {})
    try:
        assert len(dataset.load_saved_view(DOUBTS)) == 0
    finally:
        fo.delete_dataset(NAME)
