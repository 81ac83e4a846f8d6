"""The shape of a status snapshot: plain JSON values, the same from a running miner and from its files.

Times are Unix seconds, durations seconds, stakes and emissions alpha unless they say TAO. None stands where nobody
knows: a fresh miner has no history, a stopped one no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypedDict

SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not count."""

OPERATION = "snapshot"
"""Name on the control socket; `status` there is the models' own."""

MinerState = Literal["starting", "serving", "degraded", "deregistered", "draining", "stopped"]
"""`degraded`: it serves, and something on this side costs money now. `stopped`: read from the files of no miner.
`starting`, as `streetvision status --json` prints it before the miner can answer, comes with `schema`, `taken_at` and a
part `miner` alone: `state`, `why`, `version`, `pid`, `started`, `step`, `step_since`."""

STAGES = ("admission", "body", "decode", "queue", "inference", "reply", "total")
"""Stages of an answer, in order."""


@dataclass(frozen=True, slots=True)
class Span:
    """How much history a reader wants."""

    days: float = 7.0
    intervals: int = 60
    """Most intervals of a series."""
    counted_days: float = 1.0
    """For histograms and validators."""


class MinerPart(TypedDict):
    """Which miner this is and what it does."""

    state: MinerState
    why: str
    """One sentence when the state is not `serving`; else empty."""
    version: str
    """Of streetvision."""
    pid: int | None
    started: float | None
    hotkey: str
    netuid: int
    network: str
    """Empty for `stopped`: files do not say."""
    endpoint: str | None
    """The published endpoint, `ip:port`."""
    last_request: float | None


class ChainPart(TypedDict):
    """How fresh our view of the chain is."""

    block: int | None
    age: float | None
    """Seconds since the metagraph was read."""
    failures: int
    """Failed looks in a row."""
    tempo: int | None
    epoch: int | None
    """Block of the last epoch."""


class StandingPart(TypedDict):
    """The newest point of the history. What concerns the own UID is None or 0 while there is none."""

    uid: int | None
    registered_at: int | None
    rank: int | None
    miners: int
    paid_miners: int
    incentive: float
    emission: float
    """Alpha per tempo."""
    emission_per_day: float
    tao_per_day: float | None
    trust: float
    consensus: float
    pruning_score: float
    stake: float
    collateral: float | None
    position: int | None
    """Place in the order of eviction, 1 is next; None when it cannot be evicted."""
    queue: int
    immune_blocks: int
    """Blocks of immunity left."""
    burn_share: float
    validators: int
    active_validators: int
    registration_price: float | None
    """TAO."""
    recent_registrations: int
    """In the last day's blocks."""


class Track(TypedDict):
    """One measure over the times of its series; None in an interval that has no point."""

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


class StandingSeries(TypedDict):
    """The history in equal intervals, oldest first."""

    since: float
    """Start of the first interval."""
    step: float
    """Seconds in an interval."""
    points: int
    """Snapshots behind it."""
    rank: Track
    incentive: Track
    emission_per_day: Track
    burn_share: Track


class RequestSeries(TypedDict):
    """Requests in equal intervals, oldest first."""

    since: float
    step: float
    answered: list[int]
    failed: list[int]


class Quantiles(TypedDict):
    """Of one duration over the window, in seconds."""

    p50: float
    p99: float


class Headroom(TypedDict):
    """Seconds to spare before the deadline; the low percentile is what matters."""

    p1: float
    p50: float


class Histogram(TypedDict):
    """Counts between edges: `counts[0]` lies at or below `edges[0]`, the last above `edges[-1]`."""

    edges: list[float]
    counts: list[int]


class TrafficPart(TypedDict):
    """Proven requests of the window (the last hour, or less at high rates)."""

    window: float
    """Seconds that it spans."""
    requests: int
    answered: int
    failed: dict[str, int]
    """By reason."""
    per_minute: float
    stages: dict[str, Quantiles]
    """By STAGES, over answers; empty without any."""
    headroom: Headroom | None
    batches: dict[str, int]
    """Answers by the number of requests that shared their forward pass."""
    views: dict[str, int]
    """Answers by the views averaged in them."""
    incomplete: int
    """Answers whose picture's file lacked its end."""


class CountedPart(TypedDict):
    """The last day, or as many days as a report is for, from the monitor's counts."""

    span: float
    """Seconds."""
    requests: int
    answered: int
    positive: int
    """Answers above the threshold."""
    failed: dict[str, int]
    rejected: dict[str, int]
    """Refused before they were proven, by reason; a sample."""
    scores: list[int]
    """Answers in equal bins of [0, 1]."""
    latency: Histogram
    """Seconds."""
    headroom: Histogram


class RefusalRow(TypedDict):
    """Requests refused before their callers were proven, for one reason."""

    reason: str
    words: str
    """The same for people."""
    total: int
    """Since the miner started."""
    recent: int
    """In the last hour."""
    last: float


class ValidatorRow(TypedDict):
    """One validator over the span of `counted`, as far back as requests are remembered one by one."""

    uid: int | None
    hotkey: str
    stake: float | None
    """None when the metagraph does not have it as a validator (any more)."""
    weights_age: int | None
    """Blocks since it set weights."""
    requests: int
    answered: int
    errors: int
    latency: float | None
    """Median of its answers, seconds."""
    last_seen: float | None
    score: float | None
    """Mean P(roadwork) that it was answered."""


class ModelsPart(TypedDict):
    """The manager's own status (rollout/manager.py), as far as it matters here."""

    active: dict[str, Any]
    standby: dict[str, Any] | None
    candidate: dict[str, Any] | None
    """A canary or a shadow: `role`, `version`, `share`, `verdict`, `evidence`."""
    operation: dict[str, Any] | None
    stuck: str | None
    decision: dict[str, Any] | None
    """The latest."""


class RetrainPart(TypedDict):
    """As RetrainView of the monitor."""

    configured: bool
    last: dict[str, Any] | None
    """The run that began last, as RunView."""
    skipped: dict[str, Any] | None
    """The last night, where none began in it."""
    decided_at: float | None
    paused_since: float | None
    pause_reason: str
    next_run: float | None
    month_gpu_hours: float
    month_money: float
    counts: dict[str, int]
    problem: str
    """Why the log cannot be read; empty while it can."""
    model_created: float | None
    """When the serving model was submitted, or made."""


class BackendPart(TypedDict):
    """A backend on other machines, as BackendView of the monitor."""

    name: str
    state: str
    """`closed`: it answers; `open` and `half_open`: the embedded model does."""
    since: float
    trouble: str
    why: str
    answered: int
    embedded: int
    link: str


class LogPart(TypedDict):
    """Health of the prediction log."""

    rows_written: int
    images_written: int
    rows_dropped: int
    images_dropped: int
    queued: int
    stored_bytes: int
    giving_way: bool
    degraded: str | None


class Status(TypedDict):
    """Everything at one moment."""

    schema: int
    taken_at: float
    miner: MinerPart
    chain: ChainPart
    standing: StandingPart | None
    series: StandingSeries | None
    requests: RequestSeries | None
    traffic: TrafficPart
    counted: CountedPart
    refusals: list[RefusalRow] | None
    """The most frequent of the last hour first; None without a running miner."""
    validators: list[ValidatorRow]
    """The largest stake first."""
    models: ModelsPart | None
    retrain: RetrainPart | None
    """None where retraining is not used."""
    backend: BackendPart | None
    """None where the embedded model is to answer."""
    findings: list[dict[str, Any]]
    """As Finding.as_dict, the gravest first."""
    unjudged: list[dict[str, Any]]
    """Rules that know too little, in their order: `code`, and in `why` the knowledge that is missing."""
    diagnosis: dict[str, Any] | None
    """As Diagnosis.as_dict."""
    log: LogPart | None
    machine: dict[str, Any]
    """As MachineView."""
    history: dict[str, Any] | None
    """As StoreView."""
