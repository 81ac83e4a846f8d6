"""The way to the bridge, with a bridge that the test plays: what is asked, told, cancelled and lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from streetvision.cluster import transport as module
from streetvision.cluster.frames import LENGTHS, read_frame, write_frame
from streetvision.cluster.transport import Link, RayTransport
from streetvision.engine.remote_wire import answer_parts, batch_of, failure_head
from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble

from ..engine.waiting import until

PIN = ModelPin("1.0.0", "ab" * 32)
BATCH = RemoteBatch(PIN, np.full((2, 8, 8, 3), 7, np.uint8), (5.0, 6.0), (0.0, 1.0), ("", ""))


@dataclass
class Played:
    """Bridges: each start gives a new one, and the test holds its other end."""

    starts: int = 0
    failure: RemoteFailure | None = None
    ends: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, options: Mapping[str, Any]) -> Link:
        self.starts += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        ours, theirs = socket.socketpair()
        self.ends.append(await asyncio.open_connection(sock=theirs))
        reader, writer = await asyncio.open_connection(sock=ours)
        return Link(None, reader, writer, "http://127.0.0.1:8265")

    async def frame(self) -> tuple[dict[str, Any], bytes]:
        await until(lambda: bool(self.ends))
        return await asyncio.wait_for(read_frame(self.ends[-1][0]), 5)

    def tell(self, head: Mapping[str, Any], block: bytes = b"") -> None:
        write_frame(self.ends[-1][1], head, block)


@pytest.fixture
async def bridges() -> AsyncIterator[Played]:
    played = Played()
    played.gate.set()
    yield played
    for _, writer in played.ends:
        writer.close()


@pytest.fixture
async def ray(bridges: Played) -> AsyncIterator[RayTransport]:
    ray = RayTransport({"address": "127.0.0.2:6379"}, start=bridges)
    yield ray
    await ray.close()


def answered(number: int, value: float) -> tuple[dict[str, Any], bytes]:
    answer = RemoteAnswer(PIN, np.full(2, value, np.float32), np.zeros((2, 3), np.float32), 0.01)
    head, block = answer_parts(answer)
    return {**head, "id": number}, block


async def test_answers_find_their_batches_in_any_order(bridges: Played, ray: RayTransport) -> None:
    asked = [asyncio.create_task(ray.send(BATCH)) for _ in range(2)]
    frames = [await bridges.frame() for _ in range(2)]
    np.testing.assert_array_equal(batch_of(*frames[0]).images, BATCH.images)
    for head, _ in reversed(frames):
        bridges.tell(*answered(head["id"], head["id"]))
    values = [answer.logits[0] for answer in await asyncio.gather(*asked)]
    assert values == [head["id"] for head, _ in frames]
    assert (bridges.starts, ray.link) == (1, "http://127.0.0.1:8265")


async def test_a_failure_is_told(bridges: Played, ray: RayTransport) -> None:
    task = asyncio.create_task(ray.send(BATCH))
    head, _ = await bridges.frame()
    bridges.tell({**failure_head(RemoteFailure(RemoteTrouble.NO_MEMORY, "killed")), "id": head["id"]})
    with pytest.raises(RemoteFailure, match="killed") as caught:
        await task
    assert caught.value.trouble is RemoteTrouble.NO_MEMORY


async def test_who_gives_up_is_told_to_the_bridge(bridges: Played, ray: RayTransport) -> None:
    task = asyncio.create_task(ray.send(BATCH))
    head, _ = await bridges.frame()
    task.cancel()
    assert (await bridges.frame())[0] == {"cancel": head["id"]}
    bridges.tell(*answered(head["id"], 1.0))  # too late, and harmless


async def test_a_bridge_that_ends_fails_who_waits_and_the_next_one_is_started(
    bridges: Played, ray: RayTransport
) -> None:
    task = asyncio.create_task(ray.send(BATCH))
    await bridges.frame()
    bridges.ends[-1][1].close()
    with pytest.raises(RemoteFailure) as caught:
        await task
    assert caught.value.trouble is RemoteTrouble.UNREACHABLE
    again = asyncio.create_task(ray.send(BATCH))
    await until(lambda: len(bridges.ends) == 2)
    head, _ = await bridges.frame()
    bridges.tell(*answered(head["id"], 1.0))
    await again


async def test_all_that_ask_wait_for_one_start(bridges: Played, ray: RayTransport) -> None:
    bridges.gate.clear()
    asked = [asyncio.create_task(ray.send(BATCH)) for _ in range(3)]
    await asyncio.sleep(0)
    asked.pop().cancel()  # ends no start that others wait for
    await asyncio.sleep(0)
    bridges.gate.set()
    for _ in asked:
        head, _ = await bridges.frame()
        bridges.tell(*answered(head["id"], 1.0))
    await asyncio.gather(*asked)
    assert bridges.starts == 1


async def test_a_start_that_failed_is_not_tried_again_at_once(bridges: Played) -> None:
    now = [100.0]
    bridges.failure = RemoteFailure(RemoteTrouble.SKEW, "version mismatch")
    ray = RayTransport({"address": ""}, start=bridges, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(RemoteFailure, match="version mismatch"):
            await ray.send(BATCH)
    assert bridges.starts == 1
    now[0] += module.RETRY_SECONDS
    with pytest.raises(RemoteFailure):
        await ray.send(BATCH)
    assert bridges.starts == 2


async def test_without_ray_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(RemoteFailure) as caught:
        await RayTransport({"address": ""}).send(BATCH)
    assert caught.value.trouble is RemoteTrouble.MISSING


@pytest.mark.parametrize("sent", [LENGTHS.pack(2**30, 0), LENGTHS.pack(2, 0) + b"[]", LENGTHS.pack(3, 0) + b"{,}"])
async def test_what_is_no_frame_ends_the_link(bridges: Played, ray: RayTransport, sent: bytes) -> None:
    task = asyncio.create_task(ray.send(BATCH))
    await bridges.frame()
    bridges.ends[-1][1].write(sent)
    with pytest.raises(RemoteFailure):
        await task
