"""The monitor of a running miner: listens to the chain and to requests, observes, judges, and says what changed.

It never stands in the way: what it hears costs microseconds on the loop, files are written and rules run in a thread,
and a defect in it is the supervising task's to log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.monitor.finding import Finding
from streetvision.monitor.history import History
from streetvision.monitor.machine import GpuReader, read_machine
from streetvision.monitor.observation import (
    BackendView,
    CrashView,
    DeviceView,
    MachineView,
    ModelView,
    Observation,
    Probe,
    RefusalView,
    RolloutView,
    StoreView,
    ValidatorView,
)
from streetvision.monitor.probe import probe_endpoint
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.rule_pass import RulePass, rule_pass
from streetvision.monitor.thresholds import THRESHOLDS, Thresholds
from streetvision.monitor.traffic_counter import TrafficCounter
from streetvision.prediction_log.write_health import LogHealth

LOOK_S = 20.0
"""Between two passes of the rules: an operator is to know within a minute."""
PROBE_S = 300.0
"""Between two tries of the own endpoint."""

Findings = tuple[Finding, ...]
FindingsListener = Callable[[Findings, Observation], None]
"""Called on the loop after every pass with all that is wrong now."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All else that the monitor asks, at every pass; each answers at once."""

    snapshot_age: Callable[[], float]
    """Seconds, infinite before the first: `watcher.age`."""
    chain_failures: Callable[[], int] = lambda: 0
    blocks_behind: Callable[[], int] = lambda: 0
    """By which the node in use lags: `watcher.behind`."""
    synchronised: Callable[[], bool | None] = lambda: None
    """The kernel's word about this machine's clock."""
    endpoint: Callable[[], str | None] = lambda: None
    """The published endpoint, `ip:port`."""
    refusals: Callable[[], tuple[RefusalView, ...] | None] = lambda: None
    """Refused before they were proven: `axon.refusals.counts`."""
    offset: Callable[[str], float | None] = lambda _: None
    """A validator's learned clock offset: `axon.admission.skew.offset`."""
    model: Callable[[], ModelView | None] = lambda: None
    rollout: Callable[[], RolloutView | None] = lambda: None
    log: Callable[[], LogHealth | None] = lambda: None
    device: Callable[[], DeviceView | None] = lambda: None
    backend: Callable[[], BackendView | None] = lambda: None
    crashes: tuple[CrashView, ...] = ()
    gpu: GpuReader | None = None
    """Asked in a thread, as it may be slow to answer; `retrain` too, which reads a file."""
    retrain: Callable[[], RetrainView | None] = lambda: None
    register_command: Callable[[], str] = lambda: Observation.register_command


@dataclass(slots=True)
class _Heard:
    """The newest that others have told, and the last pass."""

    validators: tuple[ValidatorView, ...] = ()
    probe: Probe | None = None
    passed: RulePass | None = None
    listeners: list[FindingsListener] = field(default_factory=list)


class Monitor:
    """Give `on_snapshot` to the watcher, then `run` it as a task and `close` it."""

    def __init__(
        self,
        folder: Path,
        hotkey: str,
        netuid: int,
        sources: Sources,
        counter: TrafficCounter,
        *,
        clocked: bool = True,
        limits: Thresholds = THRESHOLDS,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        probe: Callable[[str], Awaitable[Probe]] = probe_endpoint,
    ) -> None:
        """`folder` is `<state_dir>/monitor`; `counter` hears of the axon's requests.

        `clocked` is false on the mock network, whose block times run apart.
        """
        self.hotkey, self._folder, self._sources, self._limits = hotkey, folder, sources, limits
        self._now, self._sleep, self._probe = now, sleep, probe
        self.history = History(folder, hotkey, netuid, clocked=clocked, now=now)
        self.counter = counter
        self._heard = _Heard()
        self._probed_at = 0.0
        self._judging = asyncio.Lock()

    @property
    def findings(self) -> Findings:
        """The findings of the last pass, the gravest first."""
        return () if self._heard.passed is None else self._heard.passed.findings

    async def newest(self) -> RulePass:
        """The last pass, which all surfaces show; a first one where there was none yet."""
        return self._heard.passed or await self.judge_now()

    def add_listener(self, listener: FindingsListener) -> None:
        """Call this after every pass; it must not block, and what it raises ends the pass."""
        self._heard.listeners.append(listener)

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Listens to the watcher."""
        self.history.add(new)
        self._heard.validators = tuple(
            ValidatorView(n.uid, n.hotkey, n.stake, n.last_update, n.block_at_registration)
            for n in new.neurons
            if n.validator_permit and n.stake > 0
        )

    async def observe_aside(self) -> Observation:
        """Everything that is known now, without waiting on the loop for a disk or GPU that is slow to answer."""
        return self._observe(*await asyncio.to_thread(self._read_aside))

    def _read_aside(self) -> tuple[MachineView, RetrainView | None]:
        return read_machine(self._folder, self._sources.gpu), self._sources.retrain()

    def _observe(self, machine: MachineView, retrain: RetrainView | None) -> Observation:
        sources, heard = self._sources, self._heard
        log = sources.log()
        offsets = {v.hotkey: sources.offset(v.hotkey) for v in heard.validators}
        return Observation(
            now=self._now(),
            hotkey=self.hotkey,
            points=self.history.points,
            traffic=self.counter.traffic(self.history.buckets),
            validators=heard.validators,
            snapshot_age=sources.snapshot_age(),
            chain_failures=sources.chain_failures(),
            blocks_behind=sources.blocks_behind(),
            synchronised=sources.synchronised(),
            endpoint=sources.endpoint(),
            probe=heard.probe,
            refusals=sources.refusals(),
            offsets={hotkey: offset for hotkey, offset in offsets.items() if offset is not None},
            model=sources.model(),
            rollout=sources.rollout(),
            retrain=retrain,
            device=sources.device(),
            backend=sources.backend(),
            crashes=sources.crashes,
            machine=machine,
            log=None if log is None else StoreView(log.degraded, sum(log.rows_dropped.values())),
            history=self.history.health(),
            register_command=sources.register_command(),
        )

    async def look(self) -> RulePass:
        """One pass: close what is over, write, try the endpoint when due, judge, and tell the listeners."""
        self.history.add_traffic(self.counter.close_due(self._now()))
        await asyncio.to_thread(self.history.flush)
        await self._try_endpoint()
        return await self.judge_now()

    async def judge_now(self) -> RulePass:
        """Judge what is known now, and tell the listeners."""
        async with self._judging:
            passed = await asyncio.to_thread(rule_pass, await self.observe_aside(), self._limits)
            self._heard.passed = passed
            for listener in self._heard.listeners:
                listener(passed.findings, passed.seen)
        return passed

    async def _try_endpoint(self) -> None:
        endpoint, now = self._sources.endpoint(), self._now()
        if endpoint is None or 0 <= now - self._probed_at < PROBE_S:
            return
        self._probed_at = now
        self._heard.probe = await self._probe(endpoint)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await self._sleep(LOOK_S)

    async def close(self) -> None:
        """Keep what the last minutes brought."""
        self.history.add_traffic(self.counter.drain(self._now()))
        await asyncio.to_thread(self.history.close)
