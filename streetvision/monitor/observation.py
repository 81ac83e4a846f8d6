"""Everything the rules may look at, at one moment: built by whoever runs them, judged by pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.traffic import Traffic
from streetvision.subnet import PAY_WINDOW, PayWindow

RolloutState = Literal["idle", "shadow", "canary", "rolled_back"]


@dataclass(frozen=True, slots=True)
class ValidatorView:
    """A permitted validator with stake, as the chain shows it."""

    uid: int
    hotkey: str
    stake: float
    """Alpha."""
    last_update: int
    """Block at which it last set weights."""
    registered_at: int = 0
    """Block."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One try to reach the published endpoint by its public address."""

    endpoint: str
    reached: bool
    detail: str
    """The outcome, in a few words: `connection refused`."""
    time: float
    """Unix seconds."""
    from_outside: bool = False
    """Whether another machine tried. From our own a router without hairpin NAT fails where validators succeed."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """The model that answers, and the card of the repository that it is submitted with."""

    name: str
    version: str
    created: float | None = None
    """Unix seconds of its card's submission_time, else of the checkpoint; None when neither says."""
    card_hotkey: str | None = None
    """`submitted_by` of the card; None without a card."""
    card_source: str = ""
    """The file or repository of the card."""
    window: PayWindow = PAY_WINDOW
    """The ages up to which the subnet pays for a model."""


@dataclass(frozen=True, slots=True)
class RolloutView:
    """Whether another model is being tried."""

    state: RolloutState
    version: str = ""
    """The candidate's version."""
    reason: str = ""
    """Why it was rolled back, in one sentence."""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device that the miner has lost."""

    at: float
    """Unix seconds."""
    why: str
    """One line."""
    on_cpu: bool
    """Whether the CPU answers in its place."""


@dataclass(frozen=True, slots=True)
class BackendView:
    """A backend on other machines that is to answer in the embedded model's place."""

    name: str
    state: Literal["closed", "open", "half_open"]
    """`closed`: requests go there. Else the embedded model answers until a probe passes."""
    since: float
    """Unix seconds."""
    trouble: str
    """As RemoteTrouble; empty while all is well, and while nobody has answered yet."""
    why: str
    """One clause."""
    answered: int
    """Requests since the model was loaded."""
    embedded: int
    """Those that the embedded model answered in its place."""
    link: str = ""
    """Where more can be seen; empty without such a page."""


@dataclass(frozen=True, slots=True)
class CrashView:
    """A start of the miner that ended in a crash."""

    at: float
    """Unix seconds of the start."""
    why: str
    """One line."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """Free and total bytes; None for what is not there or not known."""

    disk_free: int | None = None
    """On the file system of the state folder."""
    disk_total: int | None = None
    disk_folder: str = ""
    memory_available: int | None = None
    memory_total: int | None = None
    """The control group's when it has a limit, else the machine's."""
    process_bytes: int | None = None
    """Resident memory of the miner."""
    gpu_free: int | None = None
    gpu_total: int | None = None
    gpu_celsius: float | None = None
    gpu_busy: float | None = None
    """Share of the last moment in which the GPU computed, in [0, 1]."""
    gpu_watts: float | None = None
    gpu_others: int | None = None
    """Bytes of GPU memory that other processes hold."""


@dataclass(frozen=True, slots=True)
class StoreView:
    """Health of a store that must never stop the miner: the prediction log, or the monitor's own history."""

    degraded: str | None
    """Why nothing can be written now, as one of `base.sqlite_trouble.CAUSES`; None when all is well."""
    lost: int
    """Rows not written since the miner started."""


@dataclass(frozen=True, slots=True)
class RefusalView:
    """Requests refused before their callers were proven, for one reason."""

    reason: str
    words: str
    """The same for people, such as `unknown path`."""
    total: int
    """Since the miner started."""
    recent: int
    """In the last hour."""
    last: float
    """Unix seconds."""


@dataclass(frozen=True)
class Observation:
    """All that is known now; None, or an empty collection, where nothing is: a rule is silent then."""

    now: float
    """Unix seconds."""
    hotkey: str
    points: tuple[HistoryPoint, ...] = ()
    """History of the hotkey's standing, oldest first."""
    traffic: Traffic = Traffic()  # noqa: RUF009 - immutable
    validators: tuple[ValidatorView, ...] = ()
    """Those of the newest snapshot."""
    snapshot_age: float | None = None
    """Seconds since the newest snapshot was read; infinite when none ever was."""
    chain_failures: int = 0
    """Failed looks at the chain in a row."""
    blocks_behind: int = 0
    """By which the node in use lags behind what is known of the chain."""
    synchronised: bool | None = None
    """The kernel's word: whether a time daemon keeps this machine's clock; None where it does not say."""
    endpoint: str | None = None
    """The published endpoint, `ip:port`."""
    probe: Probe | None = None
    refusals: tuple[RefusalView, ...] | None = None
    """The most frequent of the last hour first; None without a running miner."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """Our clock less each validator's as learned from its requests, by hotkey; seconds, transit included."""
    timeout_s: float = 9.0
    """The validators' timeout."""
    model: ModelView | None = None
    rollout: RolloutView | None = None
    retrain: RetrainView | None = None
    """None where retraining is not used."""
    device: DeviceView | None = None
    """The device that was lost; None while the model runs where it should."""
    backend: BackendView | None = None
    """None where the embedded model is to answer."""
    crashes: tuple[CrashView, ...] = ()
    """Starts before the present one that ended in a crash, with no clean stop since; oldest first."""
    machine: MachineView = MachineView()
    log: StoreView | None = None
    """None when the prediction log is switched off."""
    history: StoreView | None = None
    register_command: str = "streetvision register --register burn"
    """The command that gives this hotkey a UID again."""

    @property
    def latest(self) -> HistoryPoint | None:
        """The newest point."""
        return self.points[-1] if self.points else None

    @cached_property
    def epochs(self) -> tuple[HistoryPoint, ...]:
        """The last point of each epoch, oldest first."""
        last = {point.epoch: point for point in self.points}
        return tuple(last.values())

    @cached_property
    def _began(self) -> Mapping[int, float]:
        return {point.epoch: point.time for point in reversed(self.points)}

    def began(self, epoch: int) -> float:
        """Unix seconds of the first point of an epoch; KeyError for one that is not in the history."""
        return self._began[epoch]

    @cached_property
    def own_epochs(self) -> tuple[HistoryPoint, ...]:
        """Epochs of the present registration that gave it something to be judged by, oldest first; maybe none."""
        latest = self.latest
        if latest is None or latest.registered_at is None:
            return ()
        born = latest.registered_at
        return tuple(p for p in self.epochs if p.registered_at == born and p.epoch > born)
