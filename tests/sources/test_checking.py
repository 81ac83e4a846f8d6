"""Checking a dataset again: files, leaks, and labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streetvision.engine.types import ImageArray, RunnerOutput
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.checking import check_dataset
from streetvision.sources.embeddings import embed, waiting
from streetvision.sources.label_noise import cross_validated, fold_of
from streetvision.sources.source import Item
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.stored import StoredDataset
from streetvision.sources.summary import summarize

from .pictures import ListSource, encoded, jpeg, picture, pixels


class MeanColours:
    """A runner whose embedding is the picture at 4 x 4 pixels."""

    version, input_size, resize, buckets = "colours", 32, "squash", (1, 8)

    def run(self, images: ImageArray) -> RunnerOutput:
        cells = images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(images), -1)
        return RunnerOutput(np.zeros(len(images), np.float32), (cells / 255.0 - 0.5).astype(np.float32))


def dataset(folder: Path, items: Sequence[Item], runner: Any = None) -> Path:
    with writing(folder) as store:
        add(ListSource(items), store)
        if runner:
            embed(store, runner)
        arrange(store, Shares())
    return folder


def tinted(seed: int, red: bool) -> bytes:
    image = np.array(pixels(seed))
    image[..., 0 if red else 2] |= 192
    return encoded(Image.fromarray(image))


def test_planted_wrong_labels_are_doubted_first(tmp_path: Path) -> None:
    wrong = {3, 20, 41}
    items: list[Item] = [
        picture(n, (n % 2 == 0) != (n in wrong), data=tinted(n, n % 2 == 0), group=f"g{n // 2}") for n in range(60)
    ]
    folder = dataset(tmp_path / "d", items, MeanColours())
    report = check_dataset(StoredDataset(folder), "colours")
    assert {doubt.key.split()[-1] for doubt in report.doubts[:3]} == {f"{n:04d}" for n in wrong}
    assert report.agreement is not None
    assert report.agreement > 0.85
    assert (report.problems, report.leaks, report.pictures) == ((), (), 60)


def test_files_that_changed_or_went_are_named(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "d", [picture(n, n % 2 == 0) for n in range(6)])
    first, second, *_ = sorted((folder / "pictures").rglob("*.jpg"))
    first.write_bytes(b"other")
    second.unlink()
    with writing(folder) as store:
        embed(store, MeanColours())  # type: ignore[arg-type]
        assert len(waiting(store, "colours")) == 2
    report = check_dataset(StoredDataset(folder), "colours")
    assert sorted(report.problems) == [
        f"{first}: its content has changed",
        f"{second}: no such file or directory",
    ]
    assert report.agreement is None


def test_near_duplicates_with_contrary_labels_are_reported_and_kept(tmp_path: Path) -> None:
    items: list[Item] = [picture(n, n % 2 == 0) for n in range(8)]
    items.append(picture(0, False, key="again", data=jpeg(0, 60)))
    report = check_dataset(StoredDataset(dataset(tmp_path / "d", items)), "colours")
    assert (len(report.contrary), report.pictures) == (1, 9)


def test_embeddings_join_what_fingerprints_do_not(tmp_path: Path) -> None:
    flipped = [picture(n, n % 2 == 0, key=f"{n:04d}{turn}", data=_turned(n, turn)) for n in range(20) for turn in "ab"]
    folder = dataset(tmp_path / "d", flipped, Uprights())
    assert summarize(folder).near_duplicates == 40
    assert check_dataset(StoredDataset(folder), "uprights").leaks == ()


class Uprights(MeanColours):
    """Sees a picture and its mirror image as one."""

    version = "uprights"

    def run(self, images: ImageArray) -> RunnerOutput:
        both = super().run(images).embeddings + super().run(images[:, :, ::-1]).embeddings
        return RunnerOutput(np.zeros(len(images), np.float32), both)


def _turned(seed: int, turn: str) -> bytes:
    image = np.asarray(pixels(seed))
    return encoded(Image.fromarray(image if turn == "a" else image[:, ::-1]))


def test_a_picture_is_embedded_once(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "d", [picture(n, True) for n in range(11)])
    steps: list[int] = []
    with writing(folder) as store:
        embed(store, MeanColours(), progress=steps.append)  # type: ignore[arg-type]  # what embedding needs of a runner
        assert waiting(store, "colours") == []
        embed(store, MeanColours(), progress=steps.append)  # type: ignore[arg-type]
    assert steps == [8, 3]


def test_folds_keep_units_whole_and_even() -> None:
    units = [0] * 10 + [1] * 10 + list(range(2, 22))
    folds = fold_of(units, 4)
    assert len(set(folds[:10])) == len(set(folds[10:20])) == 1
    assert [int((folds == fold).sum()) for fold in range(4)] == [10] * 4


@pytest.mark.parametrize("labels", [[True] * 8, [True] + [False] * 7])
def test_a_class_that_no_other_fold_has_gives_no_opinion(labels: list[bool]) -> None:
    vectors = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    chances = cross_validated(vectors, np.array(labels), range(8), 4)
    assert np.isnan(chances).any()
