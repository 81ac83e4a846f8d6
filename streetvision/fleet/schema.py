"""The shape of a fleet's status: plain JSON values. Times are Unix seconds, emissions alpha unless they say TAO.

None stands where nobody knows: a miner that is down has no rank.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from streetvision.status.schema import MinerState

SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not count."""

FleetState = MinerState | Literal["down", "silent"]
"""A miner's own state, as in its snapshot, or: `stopped` (nobody runs or keeps it), `down` (it ended and is to be
started again), `silent` (it runs and does not answer)."""


class FindingLine(TypedDict):
    """One finding of one miner."""

    severity: str
    title: str
    remedy: str


class MinerRow(TypedDict):
    """One miner."""

    name: str
    """Of its table in the fleet's file."""
    state: FleetState
    why: str
    """One sentence when the state is not `serving`; else empty."""
    hotkey: str
    """Its address; empty while nobody knows it."""
    uid: int | None
    port: int
    """That its settings name for the axon."""
    rank: int | None
    miners: int | None
    incentive: float | None
    emission_per_day: float | None
    tao_per_day: float | None
    position: int | None
    """Place in the order of eviction, 1 is next."""
    per_minute: float | None
    """Proven requests."""
    answered: int | None
    requests: int | None
    """Both of the last hour."""
    p99: float | None
    """Seconds from a request's arrival to its answer."""
    model: str | None
    findings: list[FindingLine]
    """The gravest first."""
    pid: int | None
    unit: str
    """Unit of systemd that keeps it; empty where none does."""
    up_since: float | None
    memory: int | None
    """Bytes, its share of what it has in common with other processes."""
    restarts: int | None
    """Starts after the first since the fleet is up; None when no fleet keeps it."""
    ended: str
    """How it failed the last time; empty when it has not, and after an orderly end."""
    next_try: float | None
    state_dir: str


class FleetTotals(TypedDict):
    """Of all miners that answer."""

    miners: int
    serving: int
    """That answer validators, `degraded` ones among them."""
    registered: int
    emission_per_day: float
    tao_per_day: float | None
    per_minute: float
    findings: dict[str, int]
    """By severity."""
    memory: int


class FleetStatus(TypedDict):
    """Everything at one moment."""

    schema: int
    taken_at: float
    version: str
    file: str
    keeper: int | None
    """Process of `streetvision fleet up`; None when nobody keeps the miners, or a service manager does."""
    totals: FleetTotals
    miners: list[MinerRow]
