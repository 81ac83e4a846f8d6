"""What travels to a container and back: whole batches survive it, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.serverless.payload import (
    BadPayload,
    answer_payload,
    batch_payload,
    read_answer,
    read_batch,
    trouble_payload,
)

PIN = ModelPin("1.2.0", "ab" * 32)


def batch(count: int = 2, side: int = 8) -> RemoteBatch:
    images = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return RemoteBatch(PIN, images, (4.5,) * count, (1.0,) * count, ("",) * count)


def answer(count: int = 2) -> RemoteAnswer:
    logits = np.arange(count, dtype=np.float32)
    return RemoteAnswer(PIN, logits, np.ones((count, 3), np.float32), 0.01, 0.002, "ta-1")


def test_a_batch_survives() -> None:
    sent, read = batch(), read_batch(batch_payload(batch()))
    assert (read.images == sent.images).all()
    assert (read.model, read.seconds, read.priorities, read.keys) == (PIN, (4.5, 4.5), (1.0, 1.0), ("", ""))


def test_an_answer_survives() -> None:
    read = read_answer(answer_payload(answer()))
    assert read.logits.tolist() == [0.0, 1.0]
    assert read.embeddings.shape == (2, 3)
    assert {read.logits.dtype, read.embeddings.dtype} == {np.dtype(np.float32)}
    assert (read.model, read.inference, read.waited, read.replica) == (PIN, 0.01, 0.002, "ta-1")


def test_only_plain_values_travel() -> None:
    """So that neither side needs the other's classes, whatever their releases."""

    def plain(value: object) -> bool:
        if isinstance(value, list):
            return all(map(plain, value))
        return type(value) in (int, float, str, bytes)

    for payload in (batch_payload(batch()), answer_payload(answer())):
        assert all(map(plain, payload.values()))


def test_a_trouble_survives() -> None:
    failure = RemoteFailure(RemoteTrouble.NO_MEMORY, "no memory for 8 pictures")
    with pytest.raises(RemoteFailure, match="no memory for 8 pictures") as told:
        read_answer(trouble_payload(failure))
    assert told.value.trouble is RemoteTrouble.NO_MEMORY


def test_a_trouble_that_is_not_known_is_a_failure() -> None:
    with pytest.raises(RemoteFailure) as told:
        read_answer({"format": 1, "trouble": "moonstruck", "why": "x" * 10_000})
    assert told.value.trouble is RemoteTrouble.FAILED
    assert len(str(told.value)) == 500


@pytest.mark.parametrize("read", [read_batch, read_answer])
def test_another_format_is_skew(read: Any) -> None:
    with pytest.raises(RemoteFailure, match="deploy it again") as told:
        read({"format": 2})
    assert told.value.trouble is RemoteTrouble.SKEW


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 8, 8]},
        {"shape": [0, 8, 8, 3]},
        {"shape": [65, 8, 8, 3]},
        {"shape": [2, 8, 9, 3]},
        {"shape": [2, 1 << 20, 1 << 20, 3]},
        {"shape": [2, 8, 8, 4]},
        {"shape": [2.0, 8, 8, 3]},
        {"shape": None},
        {"images": b"short"},
        {"images": "text"},
        {"seconds": [1.0]},
        {"seconds": [1.0, float("nan")]},
        {"seconds": [True, 1.0]},
        {"priorities": 3},
        {"keys": ["", 7]},
        {"version": None},
        {"fingerprint": b"ab"},
    ],
)
def test_a_batch_that_is_amiss_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadPayload):
        read_batch(batch_payload(batch()) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 3},
        {"count": -1},
        {"count": True},
        {"width": 1 << 30},
        {"logits": b""},
        {"embeddings": b"123"},
        {"inference": "fast"},
        {"waited": float("inf")},
        {"replica": None},
        {"version": 3},
    ],
)
def test_an_answer_that_is_amiss_is_invalid(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteFailure) as told:
        read_answer(answer_payload(answer()) | change)
    assert told.value.trouble is RemoteTrouble.INVALID


@pytest.mark.parametrize("payload", [None, 7, [], "text", b"bytes"])
def test_what_is_no_table_is_refused(payload: object) -> None:
    with pytest.raises(BadPayload):
        read_batch(payload)
    with pytest.raises(RemoteFailure):
        read_answer(payload)
