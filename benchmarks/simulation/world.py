"""A miner on the simulated subnet: its requests, machine and clock, and what its monitor observes of all that."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulation.subnet import ENDPOINT, OWN, Subnet
from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.models.router import RouterOutcome
from streetvision.monitor.history import History
from streetvision.monitor.history_database import downsampled_buckets, downsampled_points
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
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.thresholds import DAY, HOUR, SECONDS_PER_BLOCK
from streetvision.monitor.traffic_counter import TrafficCounter

GIB = 2**30
NONCE_WINDOW_S = 33.0
"""Beyond this skew the axon refuses a request before it is proven."""
_EMBEDDING = np.zeros(1, np.float32)
HEALTHY_MACHINE = MachineView(
    disk_free=200 * GIB,
    disk_total=500 * GIB,
    disk_folder="/var/lib/streetvision",
    memory_available=20 * GIB,
    memory_total=32 * GIB,
    process_bytes=3 * GIB,
    gpu_free=60 * GIB,
    gpu_total=80 * GIB,
    gpu_celsius=55.0,
)


class World:
    """Advance it by blocks, turn its attributes, and observe. Time is simulated; nothing is written to disk."""

    def __init__(self, seed: int = 0, *, requests_per_minute: float = 3.0, uids: int = 256) -> None:
        self.subnet = Subnet(seed, uids=uids)
        self.requests_per_minute = requests_per_minute
        self.night_share = 0.15
        """Requests between 1 and 5 o'clock UTC, of the day's."""
        self.challenges = True
        self.refused: dict[str, int] = {}
        """Refused before they were proven within the last hour, by reason."""
        self.port_open = True
        self.chain_up = True
        self.skew_s = 0.0
        """Our clock less the true time."""
        self.node_lag_s = 0.0
        self.positive_share = 0.4
        self.score_spread = 0.18
        self.stuck: float | None = None
        """The one score that a broken model gives."""
        self.latency_s = 0.15
        self.router: RouterOutcome | None = None
        """How the second model of a router does."""
        self.failing: dict[str, float] = {}
        """Share of requests that fail, by reason."""
        self.machine = HEALTHY_MACHINE
        self.device: DeviceView | None = None
        """The device that was lost."""
        self.backend: BackendView | None = None
        """A backend on other machines."""
        self.crashes: tuple[CrashView, ...] = ()
        self.model = ModelView("street-b", "1.4.0", self.subnet.time - 2 * DAY, OWN, "model_card.json")
        self.rollout = RolloutView("idle")
        self.retrain: RetrainView | None = None
        self.log = StoreView(None, 0)
        self.history_store = StoreView(None, 0)
        self.probe_reaches = True
        self.history = History(Path(), OWN, 72, now=lambda: self.now)
        self.counter = TrafficCounter(self.now)
        self._read_at = self.now
        self._read()

    @property
    def now(self) -> float:
        """Our clock, Unix seconds."""
        return self.subnet.time + self.skew_s

    def fork(self) -> World:
        """An independent copy that goes on from here."""
        twin = copy.copy(self)
        twin.subnet = copy.deepcopy(self.subnet)
        twin.failing = dict(self.failing)
        twin.counter = copy.deepcopy(self.counter)
        twin.history = History(Path(), OWN, 72, now=lambda: twin.now)
        twin.history.points, twin.history.buckets = self.history.points, self.history.buckets
        return twin

    def advance(self, blocks: int = 5) -> None:
        """Pass time: requests, then the chain's blocks, then one reading of the chain."""
        self._serve(blocks * SECONDS_PER_BLOCK)
        self.subnet.advance(blocks)
        self.history.add_traffic(self.counter.close_due(self.now))
        if self.chain_up:
            self._read()

    def run(self, days: float, blocks: int = 25) -> World:
        """Pass days in steps of `blocks` (a whole number in ten minutes), downsampling each six hours."""
        for step in range(round(days * DAY / (blocks * SECONDS_PER_BLOCK))):
            self.advance(blocks)
            if step % round(6 * HOUR / (blocks * SECONDS_PER_BLOCK)) == 0:
                self.downsample()
        return self

    def downsample(self) -> None:
        """What the history does each hour."""
        self.history.points = downsampled_points(self.history.points, self.now)
        self.history.buckets = downsampled_buckets(self.history.buckets, self.now)

    def restart(self) -> None:
        """The miner's process begins anew."""
        self.history.add_traffic(self.counter.drain(self.now))
        self.counter = TrafficCounter(self.now)

    def _read(self) -> None:
        self._read_at = self.now
        delay = 1.0 + 6.0 * self.subnet.rng.random()
        block_time = self.subnet.time - delay - self.node_lag_s
        self.history.add(replace(self.subnet.snapshot(self.now), block_time=block_time))

    # -- requests ------------------------------------------------------------------------------------------------------

    def _serve(self, seconds: float) -> None:
        subnet = self.subnet
        callers = [v for v in subnet.validators if v.hotkey not in subnet.asleep | subnet.mute]
        if not (callers and self.challenges and self.port_open and subnet.own) or subnet.axon != ENDPOINT:
            return
        hour = subnet.time % DAY / HOUR
        pace = self.requests_per_minute * (self.night_share if 1 <= hour < 5 else 1.0)
        count = len(subnet.validators)
        for caller in callers:
            for arrival in self._arrivals(pace / 60 / count, seconds):
                self._request(caller.hotkey, caller.uid, caller.stake, arrival)

    def _arrivals(self, rate: float, seconds: float) -> list[float]:
        times, at = [], self.subnet.rng.expovariate(rate)
        while at < seconds:
            times.append(self.now + at)
            at += self.subnet.rng.expovariate(rate)
        return times

    def _request(self, hotkey: str, uid: int, stake: float, arrival: float) -> None:
        if abs(self.skew_s) > NONCE_WINDOW_S:
            reason = "stale_nonce" if self.skew_s > 0 else "future_nonce"
            self.counter(_record(hotkey, None, 0.0, arrival, status=401, reason=reason))
            return
        draw, below = self.subnet.rng.random(), 0.0
        for reason, part in self.failing.items():
            below += part
            if draw < below:
                self.counter(_record(hotkey, uid, stake, arrival, status=503, reason=reason))
                return
        latency = max(0.01, self.subnet.rng.gauss(self.latency_s, 0.15 * self.latency_s))
        prediction = replace(_prediction(self._score(), latency, self.model.version), router=self.router)
        self.counter(_record(hotkey, uid, stake, arrival, latency=latency, prediction=prediction))

    def _score(self) -> float:
        if self.stuck is not None:
            return self.stuck
        rng = self.subnet.rng
        middle = 0.88 if rng.random() < self.positive_share else 0.12
        return min(1.0, max(0.0, rng.gauss(middle, self.score_spread)))

    # -- observing -----------------------------------------------------------------------------------------------------

    def observe(self) -> Observation:
        """What the monitor sees now."""
        subnet = self.subnet
        refused = abs(self.skew_s) > NONCE_WINDOW_S
        clamped = max(-20.0, min(20.0, self.skew_s))
        probe = Probe(ENDPOINT, self.port_open and self.probe_reaches, "connection timed out", self.now)
        return Observation(
            now=self.now,
            hotkey=OWN,
            points=self.history.points,
            traffic=self.counter.traffic(self.history.buckets),
            validators=tuple(ValidatorView(v.uid, v.hotkey, v.stake, v.last_update) for v in subnet.validators),
            snapshot_age=self.now - self._read_at,
            chain_failures=0 if self.chain_up else 40,
            endpoint=ENDPOINT,
            probe=probe,
            refusals=tuple(RefusalView(name, name, count, count, self.now) for name, count in self.refused.items()),
            offsets={} if refused else {v.hotkey: clamped + 0.1 for v in subnet.validators},
            model=self.model,
            rollout=self.rollout,
            retrain=self.retrain,
            machine=self.machine,
            device=self.device,
            backend=self.backend,
            crashes=self.crashes,
            log=self.log,
            history=self.history_store,
        )


def _prediction(probability: float, seconds: float, version: str) -> Prediction:
    timings = Timings(0.2 * seconds, 0.1 * seconds, 0.7 * seconds)
    return Prediction(probability, 0.0, _EMBEDDING, version, 1, 1, 224, 224, timings)


def _record(
    hotkey: str,
    uid: int | None,
    stake: float,
    arrival: float,
    *,
    status: int = 200,
    reason: str = "ok",
    latency: float = 0.001,
    prediction: Prediction | None = None,
) -> RequestRecord:
    return RequestRecord(
        dialect=Dialect.LEGACY,
        hotkey=hotkey,
        uid=uid,
        stake=stake,
        authenticated=uid is not None,
        status=status,
        reason=reason,
        image=None,
        prediction=prediction,
        arrival=arrival,
        headroom=8.5 - latency if prediction is not None else None,
        stages=StageTimings(0.0002, 0.001, latency, 0.0001),
        remote="198.51.100.9",
    )
