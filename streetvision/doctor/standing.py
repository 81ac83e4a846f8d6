"""The chain's part of the examination: from the running miner's own view, or read for the occasion without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streetvision.base.steady_clock import kernel_synchronised
from streetvision.base.wording import duration, plural
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.chain.wallets import MinerWallet
from streetvision.doctor.bounds import bounded, from_error
from streetvision.doctor.check import Check, Mark, failure, ok, skipped
from streetvision.doctor.live import START, WAIT, Live
from streetvision.doctor.network import (
    OpenChain,
    Try,
    check_clock,
    check_endpoint,
    check_port_free,
    check_port_served,
    check_reachable,
    open_chain,
    reachable,
    read_chain,
)
from streetvision.doctor.stores import MONITOR_FOLDER
from streetvision.errors import OperatorError
from streetvision.miner.endpoint import external_endpoint
from streetvision.miner.registering import command_for
from streetvision.monitor.derived import OTHER_TIME, node_time_is_wrong
from streetvision.monitor.diagnosis import Cause, Diagnosis, diagnose
from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import Observation, Probe
from streetvision.monitor.offline import observe_offline
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.probe import probe_endpoint
from streetvision.monitor.retrain_reading import read_retraining
from streetvision.monitor.rule_pass import rule_pass
from streetvision.monitor.thresholds import THRESHOLDS
from streetvision.monitor.unjudged import Unjudged
from streetvision.settings.settings import Settings

CHAIN_S = 40.0
PORT_S = 15.0
_NETWORKED = ("chain", "registered", "endpoint", "clock")


@dataclass(frozen=True)
class StandingReport:
    """Checks that need the chain or the running miner, what the rules found, and why nothing is earned."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    diagnosis: Mapping[str, Any]
    unjudged: tuple[Unjudged, ...] = ()


async def standing_live(settings: Settings, live: Live, try_it: Try = probe_endpoint) -> StandingReport:
    """Checks by the running miner's observation."""
    seen = live.observed
    latest, offsets = seen["latest"], seen.get("offsets", {})  # a miner of before an update does not tell them
    port = int(live.miner.get("port") or settings.axon.port)
    served = await bounded("port", PORT_S, check_port_served(settings, port, try_it))
    checks = (
        _live_chain(seen),
        *_unless_off(
            bool(seen.get("blind")),
            _registered(None if latest is None else latest["uid"], str(seen["hotkey"]), latest),
            _live_endpoint(seen),
        ),
        served,
        _live_reach(seen),
        _live_refusals(seen),
        check_clock(None if latest is None else latest["clock_offset"], validators=list(offsets.values())),
    )
    return StandingReport(checks, live.findings, live.diagnosis, live.unjudged)


def _unless_off(off: bool, *checks: Check) -> tuple[Check, ...]:
    """Nothing of the subnet is judged by a node of another time."""
    return tuple(skipped(check.name, OTHER_TIME) if off else check for check in checks)


def _live_chain(seen: Mapping[str, Any]) -> Check:
    latest, age = seen["latest"], seen["snapshot_age"]
    if latest is None or age is None:
        return failure("chain", "the running miner has not read the metagraph yet", "Read `chain:` lines in its log.")
    return ok("chain", f"block {latest['block']}, read by the running miner {duration(age)} ago")


def _registered(uid: int | None, hotkey: str, latest: Mapping[str, Any] | None) -> Check:
    if latest is None:
        return skipped("registered", "the chain was not read")
    if uid is None:
        return failure("registered", f"{hotkey} has no UID", "Register: streetvision register (docs/running.md).")
    rank = "no rank yet" if latest["rank"] is None else f"rank {latest['rank']} of {latest['miners']}"
    place = latest["position"]
    queue = "cannot be evicted now" if place is None else f"place {place} of {latest['queue']} in the order of eviction"
    return ok("registered", f"UID {uid}, {rank}, incentive {latest['incentive']:.4g}, {queue}")


def _live_endpoint(seen: Mapping[str, Any]) -> Check:
    latest, ours = seen["latest"], seen["endpoint"]
    if latest is None or ours is None:
        return skipped("endpoint", "not known to the running miner yet")
    if latest["axon"] != ours:  # for longer than publishing takes it is a finding
        return skipped(
            "endpoint", f"the chain shows {latest['axon'] or 'no endpoint'} yet, and {ours} is being published"
        )
    return ok("endpoint", f"the chain shows {ours}, which is ours")


def _live_reach(seen: Mapping[str, Any]) -> Check:
    last, probe = seen["last_request"], seen["probe"]
    if last is not None and seen["now"] - last < THRESHOLDS.proof_of_reach_s:
        return ok("reachable", f"a validator's request arrived {duration(seen['now'] - last)} ago")
    if probe is None:
        return skipped("reachable", "no request yet, and the miner has not tried its address yet")
    return reachable(Probe(**probe))


def _live_refusals(seen: Mapping[str, Any]) -> Check:
    """The refusals before callers were proven: mostly the internet's noise; others are findings."""
    refusals = seen.get("refusals")
    if refusals is None:
        return skipped("refused", "the running miner counts none yet")
    told = [f"{row['recent']} x {row['reason']} ({row['words']})" for row in refusals if row["recent"]]
    listed = ", ".join(told) or "none"
    return ok("refused", f"before their callers were proven, in the last hour: {listed}")


async def standing_offline(
    settings: Settings,
    wallet: MinerWallet | None,
    *,
    opening: OpenChain = open_chain,
    try_it: Try = probe_endpoint,
    now: Callable[[], float] = time.time,
    starting: bool = False,
) -> StandingReport:
    """Without a miner that answers: the chain is read now, and the port is tried unless a miner is about to take it."""
    ports = _ports(settings, try_it, starting)
    if settings.is_mock:
        why = "the mock network lives inside the miner, and none answers"
        checks = (*(skipped(name, why) for name in _NETWORKED), *await ports)
        return StandingReport(checks, (), _not_running("", starting).as_dict())
    (snapshot, error), port = await asyncio.gather(_snapshot(settings, opening), ports)
    if snapshot is None or wallet is None:
        unread = (
            error,
            *(skipped(name, _why_unread(wallet)) for name in ("registered", "endpoint")),
            check_clock(None if snapshot is None else snapshot.clock_offset),
        )
        return StandingReport((*unread, *port), (), _unknown(_why_unread(wallet)).as_dict())
    seen = _observation(settings, wallet, snapshot, now())
    own = seen.points[-1]
    served = None if own.axon is None else await try_it(own.axon)
    checks = (
        error,
        *_unless_off(
            node_time_is_wrong(seen, THRESHOLDS),
            _registered_offline(own, wallet, seen),
            _offline_endpoint(settings, own),
        ),
        check_clock(snapshot.clock_offset),
    )
    passed = rule_pass(seen)
    diagnosis = _diagnosis(replace(seen, probe=served), own, starting)
    return StandingReport((*checks, *port), passed.findings, diagnosis.as_dict(), passed.unjudged)


async def _snapshot(settings: Settings, opening: OpenChain) -> tuple[MetagraphSnapshot | None, Check]:
    try:
        snapshot = await asyncio.wait_for(read_chain(settings, opening), CHAIN_S)
    except TimeoutError:
        return None, failure(
            "chain", f"no answer within {CHAIN_S:g} s", "Name another node: --subtensor.chain_endpoint."
        )
    except OperatorError as error:
        return None, from_error("chain", error)
    neurons = plural(len(snapshot.neurons), "UID")
    return snapshot, ok("chain", f"block {snapshot.block} of netuid {snapshot.netuid}, {neurons}")


def _why_unread(wallet: MinerWallet | None) -> str:
    return "without a hotkey there is nobody to look for" if wallet is None else "the chain was not read"


def _observation(settings: Settings, wallet: MinerWallet, snapshot: MetagraphSnapshot, now: float) -> Observation:
    folder = settings.state_dir / MONITOR_FOLDER
    command = command_for(wallet, settings, snapshot.registration_price or 0.0)
    retrain = read_retraining(settings.state_dir, settings.retrain, now)

    def observe(folder: Path) -> Observation:
        return observe_offline(
            folder, wallet.ss58_address, settings.netuid, now, snapshot,
            retrain=retrain, register_command=command, synchronised=kernel_synchronised(),
        )  # fmt: skip

    try:
        return observe(folder)
    except OperatorError:  # the check of the history tells of it
        return observe(folder / "none")


def _registered_offline(own: HistoryPoint, wallet: MinerWallet, seen: Observation) -> Check:
    fields = {name: getattr(own, name) for name in ("rank", "miners", "position", "queue", "incentive")}
    check = _registered(own.uid, wallet.ss58_address, fields)
    return replace(check, remedy=f"Register with: {seen.register_command}") if own.uid is None else check


def _offline_endpoint(settings: Settings, own: HistoryPoint) -> Check:
    try:
        ours = external_endpoint(settings, settings.axon.port)
    except OperatorError as error:
        return from_error("endpoint", error)
    return check_endpoint(own.axon, ours, registered=own.registered)


async def _ports(settings: Settings, try_it: Try, starting: bool) -> tuple[Check, ...]:
    uncounted = skipped("refused", "counted by a running miner alone")
    if not starting:
        return *await _port_checks(settings, try_it), uncounted
    why = "a miner is starting: its port is left alone"
    return skipped("port", why), skipped("reachable", why), uncounted


async def _port_checks(settings: Settings, try_it: Try) -> tuple[Check, ...]:
    """Whether the port is free; if so, whether the public address leads here."""
    port = await bounded("port", PORT_S, check_port_free(settings, try_it))
    if port.mark is not Mark.OK or settings.axon.port == 0:
        return port, skipped("reachable", "the port could not be tried")
    try:
        ours = external_endpoint(settings, settings.axon.port)
    except OperatorError as error:
        return port, from_error("reachable", error)
    return port, await bounded("reachable", PORT_S, check_reachable(settings, ours, try_it))


def _diagnosis(seen: Observation, own: HistoryPoint, starting: bool) -> Diagnosis:
    """As the monitor reads it; but where nothing answers at the published address, the reason is that no miner runs."""
    found = diagnose(seen)
    if found.cause in (Cause.HALTED, Cause.NOT_REGISTERED) or (seen.probe is not None and seen.probe.reached):
        return found
    where = (
        f"the chain sends validators to {own.axon}, where nothing answers" if own.axon else "no endpoint is published"
    )
    ruled = tuple(r for r in found.ruled_out if r.cause in (Cause.HALTED, Cause.NOT_REGISTERED))
    return replace(_not_running(where, starting), ruled_out=ruled)


def _not_running(where: str, starting: bool) -> Diagnosis:
    serves = "The miner of this state folder serves nobody yet" if starting else "No miner runs with this state folder"
    title = "the miner is still starting" if starting else "no miner is running here"
    evidence = (serves + (f", and {where}." if where else "."),)
    return Diagnosis(Cause.NOT_REACHABLE, title, evidence, WAIT if starting else START)


def _unknown(why: str) -> Diagnosis:
    sentence = f"{why[:1].upper()}{why[1:]}."
    return Diagnosis(
        Cause.UNKNOWN, "nothing can be said yet", (sentence,), "Put the failures above right, then ask again."
    )
