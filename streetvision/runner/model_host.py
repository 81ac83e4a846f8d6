"""The far side of a backend, whoever runs it: several versions loaded, each in a lane that batches by deadline.

It computes as the miner does: the same runner, batcher and checks. A version is loaded when it is first asked for, and
the one that was not asked for longest goes when there are too many.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from streetvision.engine.answers import Answer
from streetvision.engine.background_priority import Deference
from streetvision.engine.decode import DecodedImage
from streetvision.engine.device_health import explained
from streetvision.engine.faults import is_out_of_memory
from streetvision.engine.lanes import RETIRED, Lane
from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.remote_wire import answer_parts, batch_of, failure_head
from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.engine.types import (
    DeadlineMissed,
    DeviceLost,
    EngineClosed,
    EngineError,
    ImageArray,
    Overloaded,
    Runner,
)
from streetvision.errors import OperatorError

OpenModel = Callable[[str], tuple[Runner, ModelPin]]
"""Loads a version, in a thread, and says which weights it has; raises OperatorError where it is not here."""

CLOSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class ModelHost:
    """Answers batches of any version that `open_model` finds. Bound to the event loop of its first call."""

    def __init__(
        self,
        open_model: OpenModel,
        *,
        most: int = 3,
        queue_size: int = 4096,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` versions are loaded at once; `queue_size` bounds the pictures that wait for each."""
        self._open_model, self._most, self._queue_size, self._name = open_model, most, queue_size, name
        self._clock = clock
        self._metrics = EngineMetrics(CollectorRegistry(), waiting=int, running=int, lanes=int)
        self._lanes: OrderedDict[str, tuple[Lane, ModelPin]] = OrderedDict()
        self._opening: dict[str, asyncio.Task[tuple[Lane, ModelPin]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def versions(self) -> tuple[str, ...]:
        """What is loaded, the one asked for longest ago first."""
        return tuple(self._lanes)

    @property
    def work(self) -> float:
        """Predicted seconds until all that waits is computed."""
        now = self._clock()
        return sum(lane.batcher.work(now) for lane, _ in self._lanes.values())

    @property
    def lost(self) -> str | None:
        """Why the device under the models cannot be used any more."""
        losses = (lane.device.loss for lane, _ in self._lanes.values())
        return next((loss.why for loss in losses if loss is not None), None)

    def beat(self) -> None:
        """Once a second: a forward pass that hangs is found so."""
        for lane, _ in self._lanes.values():
            lane.device.beat()

    async def open(self, version: str) -> ModelPin:
        """Load and warm a version unless it is there; raises RemoteFailure."""
        return (await self._lane(version))[1]

    async def answer_parts(self, head: Mapping[str, Any], block: bytes | memoryview) -> tuple[dict[str, Any], bytes]:
        """Answer a batch as `remote_wire` packs it; a failure is an answer too, so that it arrives as it is."""
        try:
            return answer_parts(await self.answer(batch_of(head, block)))
        except RemoteFailure as failure:
            return failure_head(failure), b""

    async def answer(self, batch: RemoteBatch) -> RemoteAnswer:
        """Answer the pictures of a batch, each by its own deadline; raises RemoteFailure where none has an answer."""
        lane, pin = await self._lane(batch.model.version)
        if pin != batch.model:
            raise RemoteFailure(
                RemoteTrouble.OTHER_WEIGHTS, f"{pin.version} has other weights here ({pin.fingerprint[:12]})"
            )
        started = self._clock()
        with lane.held():
            outcomes = await self._inferred(lane, batch, started)
        answers = {row: outcome for row, outcome in enumerate(outcomes) if isinstance(outcome, Answer)}
        if not answers:
            raise _failure(next(outcome for outcome in outcomes if isinstance(outcome, EngineError)))
        inference = max(answer.seconds for answer in answers.values())
        filler = next(iter(answers.values()))
        rows = [answers.get(row, filler) for row in range(len(batch))]
        return RemoteAnswer(
            pin,
            np.array([answer.logit for answer in rows], np.float32),
            np.stack([answer.embedding for answer in rows]),
            inference,
            waited=max(0.0, self._clock() - started - inference),
            replica=self._name,
            refused=tuple(row for row in range(len(batch)) if row not in answers),
        )

    async def close(self) -> None:
        """Take every model down."""
        for task in self._opening.values():
            task.cancel()
        lanes = [lane for lane, _ in self._lanes.values()]
        self._lanes.clear()
        await asyncio.gather(*(lane.close(EngineClosed(RETIRED), CLOSE_SECONDS) for lane in lanes), *self._leaving)

    async def _inferred(self, lane: Lane, batch: RemoteBatch, now: float) -> Sequence[Answer | EngineError]:
        if batch.images.shape[1] != lane.input_size:
            raise RemoteFailure(RemoteTrouble.SKEW, f"pictures of {batch.images.shape[1]} for {lane.input_size} pixels")
        jobs = [
            asyncio.ensure_future(_outcome(lane, image, now + left, priority))
            for image, left, priority in zip(batch.images, batch.seconds, batch.priorities, strict=True)
        ]
        try:
            return await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()

    async def _lane(self, version: str) -> tuple[Lane, ModelPin]:
        found = self._lanes.get(version)
        if found is not None:
            self._lanes.move_to_end(version)
            return found
        if version not in self._opening:
            task = self._opening[version] = asyncio.ensure_future(self._opened(version))
            task.add_done_callback(lambda _: self._opening.pop(version, None))
        return await asyncio.shield(self._opening[version])

    async def _opened(self, version: str) -> tuple[Lane, ModelPin]:
        """Several that wait for one version share this; who goes away ends nothing."""
        try:
            runner, pin = await asyncio.to_thread(partial(explained, partial(self._open_model, version)))
            lane = await self._warmed(runner)
        except OperatorError as error:
            raise RemoteFailure(RemoteTrouble.UNKNOWN_VERSION, f"version {version} is not there: {error}") from error
        except (EngineError, MemoryError) as error:
            raise _failure(error) from error
        self._lanes[version] = lane, pin
        self._make_room()
        logger.info("version %s is loaded and warm", version)
        return lane, pin

    async def _warmed(self, runner: Runner) -> Lane:
        lane = Lane(
            runner,
            queue_size=self._queue_size,
            metrics=self._metrics,
            clock=self._clock,
            view_seconds=0.0,
            deference=Deference(),
        )
        try:
            seconds = await lane.bring_forward().submit(partial(explained, partial(lane.warm, runner.buckets)))
        except BaseException:
            await lane.close(EngineClosed(RETIRED), CLOSE_SECONDS)
            raise
        for size, value in seconds.items():
            lane.cost.seed(size, value)
        return lane

    def _make_room(self) -> None:
        while len(self._lanes) > self._most:
            version, (lane, _) = self._lanes.popitem(last=False)
            logger.info("version %s is taken down: others were asked for since", version)
            task = asyncio.ensure_future(_retire(lane))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


async def _retire(lane: Lane) -> None:
    await lane.released()
    await lane.close(EngineClosed(RETIRED), CLOSE_SECONDS)


async def _outcome(lane: Lane, image: ImageArray, deadline: float, priority: float) -> Answer | EngineError:
    side = image.shape[0]
    try:
        return await lane.infer(DecodedImage(image, side, side, "JPEG"), deadline, priority)
    except EngineError as error:
        return error


def _failure(error: EngineError | MemoryError) -> RemoteFailure:
    if is_out_of_memory(error):
        return RemoteFailure(RemoteTrouble.NO_MEMORY, "the model does not fit into the memory there")
    if isinstance(error, DeviceLost):
        return RemoteFailure(RemoteTrouble.FAILED, "the device there is lost")
    overloaded = isinstance(error, Overloaded | DeadlineMissed)
    return RemoteFailure(RemoteTrouble.OVERLOADED if overloaded else RemoteTrouble.FAILED, str(error))
