"""The whole miner in this process, with models that fall sick after they were loaded: slow, failing, constant."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streetvision.axon.client import legacy_headers, request_body
from streetvision.chain.mock.config import dev_hotkey
from streetvision.control.client import SOCKET_NAME, call
from streetvision.engine.types import ImageArray, Runner, RunnerFailure, RunnerOutput
from streetvision.errors import OperatorError
from streetvision.miner.miner import Miner
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.runner.opening import open_runner
from streetvision.scenes.challenges import challenge
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings

PATIENCE_S = 60.0
GOOD = "0.2.0"


class Moody:
    """A real runner that a test can spoil."""

    moods: dict[str, str] = {}  # noqa: RUF012 - one for all, as the miner makes the runners

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.version, self.input_size = runner.version, runner.input_size
        self.resize, self.buckets = runner.resize, runner.buckets

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        return self._runner.warmup(buckets)

    def run(self, images: ImageArray) -> RunnerOutput:
        mood = self.moods.get(self.version)
        if mood == "slow" and len(images) == 1:
            time.sleep(2.2)  # half of the deadline is 2 s
        if mood == "failing":
            raise RunnerFailure("the answer is not finite")
        output = self._runner.run(images)
        return RunnerOutput(np.zeros_like(output.logits), output.embeddings) if mood == "constant" else output


@pytest.fixture
def moods(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """How each version behaves from now on."""
    monkeypatch.setattr("streetvision.miner.models.open_runner", lambda *a, **k: Moody(open_runner(*a, **k)))
    Moody.moods.clear()
    yield Moody.moods
    Moody.moods.clear()


@pytest.fixture
async def miner(moods: dict[str, str]) -> AsyncIterator[Miner]:
    """A serving miner with the version 0.1.0 from a folder, and 0.2.0 in its registry."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        folder = Path(name)
        registry = Registry(folder / "state" / REGISTRY_FOLDER)
        for version in ("0.1.0", GOOD):
            config = tiny_config(depth=1, version=version)
            weights = build(config).state_dict()
            weights["head.fc.weight"] *= 50.0
            save_checkpoint(folder / version, config, weights)
        await asyncio.to_thread(registry.add_folder, folder / GOOD, source="test")
        settings = Settings(
            subtensor=SubtensorSettings(network="mock"),
            model=ModelSettings(choice=str(folder / "0.1.0")),
            compile=False,
            threads=1,
            axon=AxonSettings(ip="127.0.0.1", port=0, deadline_margin=5.0),
            state_dir=folder / "state",
        )
        miner = Miner(settings)
        await miner.start()
        serving = asyncio.create_task(miner.serve())
        yield miner
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await miner.close()


IMAGES = [challenge(seed, native=False).jpeg for seed in range(4)]
NUMBERS = itertools.count()


def ask(port: int) -> int:
    """The status of one more challenge, with an image of its own."""
    number = next(NUMBERS)
    body = request_body(IMAGES[number % len(IMAGES)] + str(number).encode())
    headers = legacy_headers(
        dev_hotkey("Bob"), dev_hotkey("Miner").ss58_address, nonce_ns=time.time_ns(), uuid=str(uuid.uuid4())
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/ImageSynapse", body, headers)
        response = connection.getresponse()
        json.loads(response.read())
        return response.status
    finally:
        connection.close()


async def order(miner: Miner, op: str, **arguments: Any) -> dict[str, Any]:
    """What the command does: over the socket, from another thread."""
    return await asyncio.to_thread(call, miner.settings.state_dir / SOCKET_NAME, op, arguments)


async def ask_until(miner: Miner, happened: Callable[[dict[str, Any]], bool]) -> list[int]:
    """Ask until the status is as wanted; the statuses of all replies."""
    deadline, statuses = time.monotonic() + PATIENCE_S, []
    while not happened(await order(miner, "status")):
        assert time.monotonic() < deadline, await order(miner, "status")
        statuses.append(await asyncio.to_thread(ask, miner.axon.port))
        await asyncio.sleep(0.05)
    return statuses


def serves(version: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status["active"]["version"] == version


def decided(status: dict[str, Any]) -> list[tuple[str, str]]:
    """The decisions, which are written down a moment after they took effect."""
    return [(line["event"], line["by"]) for line in status["decisions"]]


async def test_a_slow_candidate_never_serves(miner: Miner, moods: dict[str, str]) -> None:
    moods[GOOD] = "slow"
    with pytest.raises(OperatorError, match=rf"Version {GOOD} is too slow: .*; version 0\.1\.0 goes on serving"):
        await order(miner, "swap", version=GOOD)
    assert serves("0.1.0")(await order(miner, "status"))
    assert await asyncio.to_thread(ask, miner.axon.port) == 200


@pytest.mark.parametrize("mood", ["failing", "constant"])
async def test_a_serving_model_that_falls_sick_is_rolled_back(miner: Miner, moods: dict[str, str], mood: str) -> None:
    await order(miner, "swap", version=GOOD)
    assert await asyncio.to_thread(ask, miner.axon.port) == 200
    moods[GOOD] = mood
    await ask_until(miner, lambda status: decided(status) == [("swap", "operator"), ("rollback", "health")])
    status = await order(miner, "status")
    assert serves("0.1.0")(status)
    assert GOOD in status["bad"]
    assert await asyncio.to_thread(ask, miner.axon.port) == 200
    with pytest.raises(OperatorError, match="was rolled back at"):
        await order(miner, "swap", version=GOOD)


async def test_a_canary_that_falls_sick_costs_no_answer(miner: Miner, moods: dict[str, str]) -> None:
    await order(miner, "canary", version=GOOD, share=0.5)
    moods[GOOD] = "failing"
    statuses = await ask_until(miner, lambda status: GOOD in status["bad"])
    assert set(statuses) == {200}
    assert serves("0.1.0")(await order(miner, "status"))


async def test_the_status_line_names_the_model(miner: Miner) -> None:
    assert miner.models.describe() == "model 0.1.0"
    await order(miner, "canary", version=GOOD, share=0.25)
    assert miner.models.describe() == f"model 0.1.0, canary {GOOD} on 25% of the images"
