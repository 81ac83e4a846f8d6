from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from streetvision.sources.dataset import Example
from streetvision.sources.source import SourceError
from streetvision.training.batch import RawBatch
from streetvision.training.canvas_cache import CanvasCache
from streetvision.training.loading import Loader, Loading

SIDE = 16


def examples(folder: Path, count: int = 12) -> list[Example]:
    """Plain pictures whose grey says which one it is; every fourth has works."""
    made = []
    for number in range(count):
        path = folder / f"{number:02}.png"
        Image.new("RGB", (40, 20 + number), (number * 10,) * 3).save(path)
        made.append(Example(path, number % 4 == 0, f"place {number}", "train", weight=1.0 - number / 100))
    return made


def numbers(batches: Sequence[RawBatch]) -> list[list[int]]:
    return [(raw.images[:, 0, 0, 0] // 10).tolist() for raw in batches]


def test_a_batch_says_all_of_its_pictures(tmp_path: Path) -> None:
    known = examples(tmp_path)
    (raw,) = Loader(known, Loading(batch=12, canvas=SIDE, shuffle=False))
    assert raw.images.shape == (12, SIDE, SIDE, 3)
    assert raw.sizes.tolist() == [[40, 20 + number] for number in range(12)]
    assert raw.labels.tolist() == [float(one.label) for one in known]
    assert raw.weights.tolist() == pytest.approx([one.weight for one in known])
    assert raw.indices.tolist() == list(range(12))
    assert numbers([raw]) == [list(range(12))]


def test_judging_sees_every_picture_once_and_in_order(tmp_path: Path) -> None:
    loader = Loader(examples(tmp_path), Loading(batch=5, canvas=SIDE, shuffle=False))
    assert len(loader) == 3
    assert numbers(list(loader)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_training_sees_whole_batches_of_a_balanced_order(tmp_path: Path) -> None:
    loader = Loader(examples(tmp_path), Loading(batch=4, canvas=SIDE, positive_share=0.5))
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    assert torch.cat([raw.labels for raw in batches]).mean() == 0.5


def test_a_set_smaller_than_a_batch_fills_one(tmp_path: Path) -> None:
    (raw,) = Loader(examples(tmp_path, 3), Loading(batch=8, canvas=SIDE))
    assert len(raw) == 8


@pytest.mark.parametrize("threads", [1, 4])
def test_it_goes_on_exactly_where_another_stopped(tmp_path: Path, threads: int) -> None:
    known, how = examples(tmp_path), Loading(batch=3, canvas=SIDE, seed=5, threads=threads)
    whole = Loader(known, how)
    expected = numbers([raw for _ in range(2) for raw in whole])
    first, seen = Loader(known, how), []
    for raw in first:
        seen.append(raw)
        if len(seen) == 2:
            break
    second = Loader(known, how)
    second.load_state_dict(first.state_dict())
    assert second.position == (0, 2)
    assert numbers([*seen, *second, *second]) == expected
    assert second.position == whole.position == (2, 0)


def test_two_ranks_see_together_what_one_would(tmp_path: Path) -> None:
    known = examples(tmp_path)
    alone = numbers(list(Loader(known, Loading(batch=6, canvas=SIDE))))
    ranks = [numbers(list(Loader(known, Loading(batch=3, canvas=SIDE, rank=rank, world=2)))) for rank in (0, 1)]
    assert [one + two for one, two in zip(*ranks, strict=True)] == alone


def test_an_unreadable_picture_is_replaced_by_one_of_its_class_and_told(tmp_path: Path) -> None:
    known, how = examples(tmp_path), Loading(batch=12, canvas=SIDE)
    known[4].path.write_bytes(known[4].path.read_bytes()[:60])
    known[5].path.unlink()
    loader = Loader(known, how)
    (raw,) = loader
    assert raw.labels.sum() == 3
    assert {4, 5}.isdisjoint(raw.indices.tolist())
    assert numbers([raw]) == [raw.indices.tolist()]
    assert set(loader.unreadable) == {known[4].path, known[5].path}
    assert loader.unreadable[known[5].path] == "no such file or directory"
    (again,) = Loader(known, how)
    assert numbers([again]) == numbers([raw]), "the replacement is the same at each repetition"


def test_a_set_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    known = examples(tmp_path, 4)
    for one in known:
        one.path.write_bytes(b"gone")
    with pytest.raises(SourceError, match="data check"):
        list(Loader(known, Loading(batch=2, canvas=SIDE)))


def test_nothing_to_load_is_an_error() -> None:
    with pytest.raises(SourceError, match="no picture"):
        Loader([], Loading(batch=2, canvas=SIDE))


def test_a_cache_saves_decoding_and_changes_nothing(tmp_path: Path) -> None:
    known, how = examples(tmp_path), Loading(batch=4, canvas=SIDE)
    expected = numbers(list(Loader(known, how)))
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=10**6) as cache:
        assert numbers(list(Loader(known, how, cache=cache))) == expected
        for one in known:
            os.truncate(one.path, 0)
        assert numbers(list(Loader(known, how, cache=cache))) == expected, "read from the cache alone"


def filled(folder: Path, known: list[Example]) -> None:
    with CanvasCache(folder, known, SIDE, max_bytes=10**6) as cache:
        list(Loader(known, Loading(batch=4, canvas=SIDE), cache=cache))


def test_a_cache_outlives_its_process_but_not_its_pictures(tmp_path: Path) -> None:
    known = examples(tmp_path, 4)
    filled(tmp_path / "cache", known)
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=10**6) as cache:
        canvas = cache.get(2)
        assert canvas is not None
        assert (canvas.width, canvas.height) == (40, 22)
    Image.new("RGB", (8, 8)).save(known[2].path)
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=10**6) as cache:
        assert cache.get(2) is None


def test_a_damaged_record_counts_as_absent(tmp_path: Path) -> None:
    known = examples(tmp_path, 4)
    filled(tmp_path / "cache", known)
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=10**6) as cache:
        data = bytearray(cache.path.read_bytes())
        data[100] ^= 1
        cache.path.write_bytes(data)
        found = [cache.get(number) is not None for number in range(4)]
    assert found == [False, True, True, True]


def test_a_cache_keeps_within_its_bound(tmp_path: Path) -> None:
    known = examples(tmp_path, 6)
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=2000) as cache:
        list(Loader(known, Loading(batch=3, canvas=SIDE), cache=cache))
        assert cache.capacity == 2
        assert cache.path.stat().st_size <= 2000
        assert [cache.get(number) is not None for number in range(6)] == [True, True, False, False, False, False]


def test_a_full_disk_ends_the_keeping_and_not_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = examples(tmp_path, 6)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with CanvasCache(tmp_path / "cache", known, SIDE, max_bytes=10**6) as cache:
        assert len(list(Loader(known, Loading(batch=3, canvas=SIDE), cache=cache))) == 2
        assert cache.problem == "no space left on device"
        assert np.all([cache.get(number) is None for number in range(6)])
