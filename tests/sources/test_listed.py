from __future__ import annotations

import json
from pathlib import Path

import pytest

from streetvision.sources.dataset import Example
from streetvision.sources.listed import ListedDataset, write_list
from streetvision.sources.opening import open_dataset
from streetvision.sources.source import SourceError

SOME = [
    Example(Path("/p/1.jpg"), True, "g1", "train", 0.5, "a" * 64, "drives", {"light": "night"}),
    Example(Path("/p/2.jpg"), False, "g2", "val", sha256="b" * 64),
]


def test_a_list_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write_list(tmp_path / "some.jsonl", SOME)
    found = open_dataset(str(tmp_path / "some.jsonl"), state=tmp_path)
    assert found.examples() == SOME
    assert [one.split for one in found.examples("val")] == ["val"]
    write_list(tmp_path / "other.jsonl", SOME[::-1])
    assert ListedDataset(tmp_path / "other.jsonl").fingerprint == found.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"path": None},
        {"label": 1},
        {"split": "all"},
        {"weight": float("inf")},
        {"weight": "much"},
        {"tags": {"a": 1}},
        {"tags": 3},
        {"more": 1},
    ],
)
def test_a_line_that_is_no_picture_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "some.jsonl"
    write_list(file, SOME)
    first, second = file.read_text().splitlines()
    file.write_text(f"{first}\n{json.dumps(json.loads(second) | change)}\n")
    with pytest.raises(SourceError, match="Line 2 of"):
        ListedDataset(file)


def test_a_list_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        ListedDataset(tmp_path / "some.jsonl")
