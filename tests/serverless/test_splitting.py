"""Large batches in parts, and the answers together again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch
from streetvision.serverless.splitting import MOST_BYTES, joined, split

PIN = ModelPin("1.0.0", "ab" * 32)


def batch(count: int, side: int = 8) -> RemoteBatch:
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, side, side, 3), np.uint8)
    numbers = tuple(map(float, range(count)))
    return RemoteBatch(PIN, images, numbers, numbers, tuple(map(str, range(count))))


def answer(part: RemoteBatch) -> RemoteAnswer:
    logits = part.images[:, 0, 0, 0].astype(np.float32)
    return RemoteAnswer(PIN, logits, logits[:, None], 0.01 * len(part), 0.0, "ta-1")


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_rows_stay_together_and_in_order(count: int, sizes: list[int]) -> None:
    whole = batch(count)
    parts = split(whole, most_bytes=4 * 8 * 8 * 3)
    assert [len(part) for part in parts] == sizes
    assert [len(part.seconds) for part in parts] == sizes
    found = joined(whole, parts, [answer(part) for part in parts])
    assert found.logits.tolist() == list(map(float, range(count)))
    assert found.embeddings.shape == (count, 1)
    assert (found.model, found.replica) == (PIN, "ta-1")
    assert [key for part in parts for key in part.keys] == list(whole.keys)


def test_a_picture_larger_than_a_call_goes_alone() -> None:
    assert [len(part) for part in split(batch(3), most_bytes=1)] == [1, 1, 1]


def test_a_call_stays_below_what_modal_carries_inline() -> None:
    assert all(part.images.nbytes <= MOST_BYTES for part in split(batch(64, side=224)))


def test_refused_rows_are_those_of_the_batch() -> None:
    whole = batch(5)
    parts = split(whole, most_bytes=2 * 8 * 8 * 3)
    answers = [replace(answer(part), refused=(0,)) for part in parts]
    assert joined(whole, parts, answers).refused == (0, 2, 4)


def test_a_part_answered_by_another_model_is_told() -> None:
    whole, other = batch(4), ModelPin("2.0.0", "cd" * 32)
    parts = split(whole, most_bytes=2 * 8 * 8 * 3)
    answers = [answer(parts[0]), replace(answer(parts[1]), model=other)]
    assert joined(whole, parts, answers).model == other
