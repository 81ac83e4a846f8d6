"""What travels to a backend and back comes out as it went in, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from streetvision.engine.remote_wire import answer_of, answer_parts, batch_of, batch_parts, failure_head
from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble, checked

PIN = ModelPin("1.2.0", "ab" * 32)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
BATCH = RemoteBatch(PIN, IMAGES, (8.5, 8.75), (1.0, 0.0), ("cd" * 32, ""))
ANSWER = RemoteAnswer(
    PIN, np.array([0.5, -1.5], np.float32), np.arange(6, dtype=np.float32).reshape(2, 3), 0.01, 0.002, "r", (1,)
)


def through(head: dict[str, Any]) -> dict[str, Any]:
    """As JSON would bring it."""
    brought: dict[str, Any] = json.loads(json.dumps(head))
    return brought


def test_a_batch_comes_out_as_it_went_in() -> None:
    head, block = batch_parts(BATCH)
    found = batch_of(through(head), bytes(block))
    np.testing.assert_array_equal(found.images, IMAGES)
    assert (found.model, found.seconds, found.priorities, found.keys) == (
        PIN,
        BATCH.seconds,
        BATCH.priorities,
        BATCH.keys,
    )


def test_an_answer_comes_out_as_it_went_in() -> None:
    head, block = answer_parts(ANSWER)
    found = checked(BATCH, answer_of(through(head), block))
    np.testing.assert_array_equal(found.logits, ANSWER.logits)
    np.testing.assert_array_equal(found.embeddings, ANSWER.embeddings)
    assert (found.inference, found.waited, found.replica, found.refused) == (0.01, 0.002, "r", (1,))


def test_a_failure_is_told_with_its_trouble() -> None:
    failure = RemoteFailure(RemoteTrouble.NO_MEMORY, "it does\nnot fit" + "x" * 1000)
    with pytest.raises(RemoteFailure, match="it does�not fit") as caught:
        answer_of(through(failure_head(failure)), b"")
    assert caught.value.trouble is RemoteTrouble.NO_MEMORY
    assert len(str(caught.value)) == 300


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"protocol": 2}, RemoteTrouble.SKEW),
        ({"trouble": "news", "message": ""}, RemoteTrouble.SKEW),
        ({"shape": [2, 4]}, RemoteTrouble.INVALID),
        ({"shape": [2**40, 3]}, RemoteTrouble.INVALID),
        ({"shape": None}, RemoteTrouble.SKEW),
        ({"model": ["1.2.0"]}, RemoteTrouble.SKEW),
        ({"model": ["1.2.0", 5]}, RemoteTrouble.SKEW),
        ({"inference": float("nan")}, RemoteTrouble.INVALID),
    ],
)
def test_what_is_no_answer_is_told(change: dict[str, Any], trouble: RemoteTrouble) -> None:
    head, block = answer_parts(ANSWER)
    with pytest.raises(RemoteFailure) as caught:
        answer_of(head | change, block)
    assert caught.value.trouble is trouble


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": None},
        {"shape": [3, 8, 8, 3]},
        {"shape": [2, 8, 9, 3]},
        {"shape": [0, 8, 8, 3]},
        {"shape": "many"},
        {"seconds": [1.0]},
        {"priorities": [1.0, float("inf")]},
        {"keys": [1, 2]},
    ],
)
def test_what_is_no_batch_is_told(change: dict[str, Any]) -> None:
    head, block = batch_parts(BATCH)
    with pytest.raises(RemoteFailure) as caught:
        batch_of(head | change, block)
    assert caught.value.trouble is RemoteTrouble.SKEW


def test_a_row_that_was_not_asked_cannot_be_refused() -> None:
    head, block = answer_parts(ANSWER)
    with pytest.raises(RemoteFailure, match="not asked"):
        checked(BATCH, answer_of(head | {"refused": [2]}, block))
