"""The far side of a backend: the same lanes as the miner's, several versions at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from streetvision.engine.transport import ModelPin, RemoteBatch, RemoteFailure, RemoteTrouble, checked
from streetvision.engine.types import Runner
from streetvision.errors import OperatorError
from streetvision.runner.model_host import ModelHost

from ..engine.gated_runner import SIDE, GatedRunner
from ..engine.waiting import until


@dataclass
class Shelf:
    """Versions by name, each with a fingerprint of its own."""

    runners: dict[str, GatedRunner] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, version: str) -> tuple[Runner, ModelPin]:
        self.opened.append(version)
        if self.error is not None:
            raise self.error
        if not version.startswith("1."):
            raise OperatorError(f"There is no version {version}.")
        return self.runners.setdefault(version, GatedRunner()), pin(version)


def pin(version: str) -> ModelPin:
    return ModelPin(version, version * 3)


def batch(*greys: int, version: str = "1.0", seconds: float = 5.0) -> RemoteBatch:
    images = np.stack([np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in greys])
    count = len(greys)
    return RemoteBatch(pin(version), images, (seconds,) * count, (0.0,) * count, ("",) * count)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def host(shelf: Shelf) -> AsyncIterator[ModelHost]:
    host = ModelHost(shelf, most=2, queue_size=8, name="replica")
    yield host
    for runner in shelf.runners.values():
        runner.gate.set()
    await host.close()


async def test_a_batch_is_answered_row_by_row(host: ModelHost) -> None:
    asked = batch(128, 138, 148)
    answer = checked(asked, await host.answer(asked))
    assert answer.logits.tolist() == [0.0, 1.0, 2.0]
    assert answer.embeddings.shape == (3, 4)
    assert (answer.replica, answer.refused) == ("replica", ())


async def test_batches_of_several_miners_share_a_forward_pass(host: ModelHost, shelf: Shelf) -> None:
    await host.open("1.0")
    runner = shelf.runners["1.0"]
    runner.gate.clear()
    runner.entered.clear()
    first = asyncio.create_task(host.answer(batch(128)))
    await until(runner.entered.is_set)
    others = [asyncio.create_task(host.answer(batch(grey))) for grey in (138, 148)]
    await until(lambda: host.work > 0)
    await asyncio.sleep(0.01)
    runner.gate.set()
    await asyncio.gather(first, *others)
    assert runner.batches[-1] == [138, 148]


async def test_a_version_is_loaded_once_and_the_oldest_goes(host: ModelHost, shelf: Shelf) -> None:
    await asyncio.gather(*(host.answer(batch(128)) for _ in range(3)))
    await host.open("1.1")
    await host.answer(batch(128))
    await host.open("1.2")
    assert shelf.opened == ["1.0", "1.1", "1.2"]
    assert host.versions == ("1.0", "1.2")


@pytest.mark.parametrize(
    ("version", "error", "trouble"),
    [
        ("2.0", None, RemoteTrouble.UNKNOWN_VERSION),
        ("1.0", RuntimeError("CUDA error: out of memory"), RemoteTrouble.NO_MEMORY),
        ("1.0", RuntimeError("no kernel"), RemoteTrouble.FAILED),
    ],
)
async def test_a_version_that_cannot_be_opened_is_told_of_and_tried_again(
    host: ModelHost, shelf: Shelf, version: str, error: Exception | None, trouble: RemoteTrouble
) -> None:
    shelf.error = error
    with pytest.raises(RemoteFailure) as caught:
        await host.open(version)
    assert caught.value.trouble is trouble
    shelf.error = None
    await host.open("1.0")


async def test_other_weights_under_the_same_name_do_not_answer(host: ModelHost) -> None:
    asked = batch(128)
    other = RemoteBatch(ModelPin("1.0", "ff" * 32), asked.images, asked.seconds, asked.priorities, asked.keys)
    with pytest.raises(RemoteFailure) as caught:
        await host.answer(other)
    assert caught.value.trouble is RemoteTrouble.OTHER_WEIGHTS


async def test_only_the_rows_that_cannot_be_in_time_are_refused(host: ModelHost, shelf: Shelf) -> None:
    asked = batch(128, 138)
    late = RemoteBatch(asked.model, asked.images, (5.0, -1.0), asked.priorities, asked.keys)
    answer = await host.answer(late)
    assert (answer.refused, answer.logits[0]) == ((1,), 0.0)


async def test_when_no_row_can_be_in_time_it_says_so(host: ModelHost) -> None:
    with pytest.raises(RemoteFailure) as caught:
        await host.answer(batch(128, seconds=-1.0))
    assert caught.value.trouble is RemoteTrouble.OVERLOADED


async def test_pictures_of_another_size_are_no_crash(host: ModelHost) -> None:
    asked = batch(128)
    small = RemoteBatch(asked.model, asked.images[:, :8, :8], asked.seconds, asked.priorities, asked.keys)
    with pytest.raises(RemoteFailure, match="8 for 16 pixels"):
        await host.answer(small)
