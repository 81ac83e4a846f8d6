"""What is known of one model's backend: how long answers take, whether it is asked at all, and the probes that tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import numpy as np

from streetvision.engine.metrics import EngineMetrics
from streetvision.engine.remote_policy import Breaker, Latencies, RemotePolicy, Window
from streetvision.engine.transport import (
    ModelPin,
    RemoteBatch,
    RemoteFailure,
    RemoteTrouble,
    Transport,
    checked,
)

TOLD_EVERY = 60.0
"""Seconds between two lines of the log on the same trouble."""

logger = logging.getLogger(__name__)


class RemoteHealth:
    """Hears how batches end; probes by itself while the breaker is open. Bound to the event loop that calls `start`."""

    def __init__(
        self,
        model: ModelPin,
        transport: Transport,
        policy: RemotePolicy,
        *,
        side: int,
        metrics: EngineMetrics,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        """`side` is the model's input in pixels: a probe shows one grey picture of ours."""
        self._transport, self._policy, self._metrics, self._clock = transport, policy, metrics, clock
        picture = np.full((1, side, side, 3), 128, np.uint8)
        self._probe_batch = RemoteBatch(model, picture, (policy.probe_seconds,), (0.0,), ("",))
        self.latencies = Latencies(policy)
        self.window = Window(policy.in_flight)
        self.answered_at = clock()
        """When the last answer came, late or not."""
        self.breaker = Breaker(policy, draw, clock())
        self.failure: RemoteFailure | None = None
        """The last one."""
        self._told: tuple[RemoteTrouble, float] | None = None
        self._opened = asyncio.Event()
        self._prober: asyncio.Task[None] | None = None
        self._probes: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Look for the backend, on the present event loop; once is enough."""
        if self._prober is None:
            self._prober = asyncio.get_running_loop().create_task(self._probe_on())

    def close(self) -> None:
        """Probe no more."""
        for task in (self._prober, *self._probes):
            if task is not None:
                task.cancel()

    def answered(self, n: int, seconds: float) -> None:
        """A batch of n was answered as it should be."""
        self.latencies.observe(n, seconds)
        self.breaker.succeeded()
        self.window.grow()

    def late(self, n: int, sent: float) -> bool:
        """A batch of n has no answer yet; whether the breaker has opened by it.

        While others that were sent later or along with it are answered, the backend is not gone but has too much to do.
        """
        seconds = self._clock() - sent
        self.latencies.observe(n, seconds)
        loaded = self.answered_at > sent
        trouble = RemoteTrouble.OVERLOADED if loaded else RemoteTrouble.LATE
        return self.blame(RemoteFailure(trouble, f"no answer within {seconds:.2g} s"), sent)

    def blame(self, failure: RemoteFailure, sent: float) -> bool:
        """A batch that was sent at `sent` was not; returns whether the breaker has opened by it.

        Too much load is no reason to open it: the backend answers as many as it can.
        """
        now = self._clock()
        self._metrics.fail_remote(failure.trouble)
        self._note(failure, now)
        if failure.trouble is RemoteTrouble.OVERLOADED:
            self.window.shrink(sent, now)
            return False
        if not self.breaker.failed(now):
            return False
        logger.warning("backend %s: the embedded model answers until a probe passes", self._transport.name)
        self._opened.set()
        return True

    def _note(self, failure: RemoteFailure, now: float) -> None:
        """The log has the same trouble once a minute."""
        self.failure = failure
        if self._told is None or self._told[0] is not failure.trouble or now - self._told[1] >= TOLD_EVERY:
            self._told = failure.trouble, now
            logger.warning("backend %s: %s (%s)", self._transport.name, failure, failure.trouble)

    async def _probe_on(self) -> None:
        while True:
            while self.breaker.closed:
                self._opened.clear()
                await self._opened.wait()
            await asyncio.sleep(max(0.0, self.breaker.probe_at - self._clock()))
            if not self.breaker.closed:
                self.breaker.probe(self._clock())
                probe = asyncio.get_running_loop().create_task(self._probe())
                self._probes.add(probe)
                probe.add_done_callback(self._probes.discard)

    async def _probe(self) -> None:
        """The first that passes closes the breaker and calls the others off."""
        failure = await self._probed()
        others = self._probes - {asyncio.current_task()}
        if failure is None:
            for other in others:
                other.cancel()
            self.breaker.probe_passed(self._clock())
            logger.info("backend %s answers for version %s", self._transport.name, self._probe_batch.model.version)
            return
        self._note(failure, self._clock())
        if not others:
            self.breaker.probe_failed()

    async def _probed(self) -> RemoteFailure | None:
        """Why the probe failed; a backend that had to warm up first is asked once more."""
        try:
            seconds = await self._seconds()
            if seconds > self._policy.most_patience:
                seconds = await self._seconds()
        except RemoteFailure as failure:
            return failure
        except Exception as error:  # a defect of a transport must not end all later probes
            logger.exception("a probe of the backend failed")
            return RemoteFailure(RemoteTrouble.FAILED, f"the transport raised {error!r}")
        if seconds > self._policy.most_patience:
            return RemoteFailure(RemoteTrouble.LATE, f"one picture takes {seconds:.1f} s")
        self.latencies.observe(1, seconds)
        return None

    async def _seconds(self) -> float:
        started, patience = self._clock(), self._policy.probe_seconds
        try:
            async with asyncio.timeout(patience):
                checked(self._probe_batch, await self._transport.send(self._probe_batch))
        except TimeoutError:
            raise RemoteFailure(RemoteTrouble.LATE, f"no answer within {patience:g} s") from None
        return self._clock() - started
