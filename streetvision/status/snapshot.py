"""Makes one status snapshot. Pure: clocks, files and the running miner are the caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import BackendView, ModelView, Observation, RefusalView
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.rule_pass import RulePass, is_grave
from streetvision.prediction_log.write_health import LogHealth
from streetvision.status.samples import Sample
from streetvision.status.schema import (
    SCHEMA,
    BackendPart,
    ChainPart,
    LogPart,
    MinerPart,
    MinerState,
    ModelsPart,
    RefusalRow,
    RetrainPart,
    Span,
    StandingPart,
    Status,
)
from streetvision.status.series import request_series, standing_series
from streetvision.status.summary import counted_part, traffic_part, validator_rows


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts beside the monitor's observation."""

    version: str
    netuid: int
    network: str
    running: bool = True
    closed: str | None = None
    """Why requests are refused: the miner's gate; None while they are admitted."""
    pid: int | None = None
    started: float | None = None
    """Unix seconds."""
    models: Mapping[str, Any] | None = None
    """ModelManager.status()."""
    log: LogHealth | None = None


def status_of(
    facts: Facts,
    seen: Observation,
    passed: RulePass,
    samples: Sequence[Sample],
    span: Span,
) -> Status:
    """The snapshot of `seen.now`; `passed` is the last pass of the rules, a moment older."""
    traffic = seen.traffic
    return {
        "schema": SCHEMA,
        "taken_at": seen.now,
        "miner": _miner(facts, seen, passed.findings),
        "chain": _chain(seen),
        "standing": None if seen.latest is None else _standing(seen.latest),
        "series": standing_series(seen.points, seen.now, span.days, span.intervals),
        "requests": request_series(traffic.buckets, seen.now, span.days, span.intervals),
        "traffic": traffic_part(samples, seen.now, traffic.listening_since),
        "counted": counted_part(seen, span.counted_days),
        "refusals": None if seen.refusals is None else [_refusal(refusal) for refusal in seen.refusals],
        "validators": validator_rows(samples, seen, span.counted_days),
        "models": None if facts.models is None else _models(facts.models),
        "retrain": None if seen.retrain is None else _retrain(seen.retrain, seen.model),
        "backend": None if seen.backend is None else _backend(seen.backend),
        "findings": [finding.as_dict() for finding in passed.findings],
        "unjudged": [asdict(rule) for rule in passed.unjudged],
        "diagnosis": passed.diagnosis.as_dict(),
        "log": None if facts.log is None else _log(facts.log),
        "machine": asdict(seen.machine),
        "history": None if seen.history is None else asdict(seen.history),
    }


def _miner(facts: Facts, seen: Observation, findings: Sequence[Finding]) -> MinerPart:
    state, why = state_of(facts, findings)
    return {
        "state": state,
        "why": why,
        "version": facts.version,
        "pid": facts.pid,
        "started": facts.started,
        "hotkey": seen.hotkey,
        "netuid": facts.netuid,
        "network": facts.network,
        "endpoint": seen.endpoint,
        "last_request": seen.traffic.last_request,
    }


def state_of(facts: Facts, findings: Sequence[Finding]) -> tuple[MinerState, str]:
    """The miner's state, and the reason why it does not simply serve."""
    if not facts.running:
        return "stopped", "no miner is running; this is what it left behind"
    if facts.closed == "deregistered":
        return "deregistered", "the hotkey has no UID: requests are refused until it is registered again"
    if facts.closed in ("draining", "restarting"):
        return "draining", "it answers what is in flight and ends"
    if facts.closed is not None:
        return "starting", "it admits no requests yet"
    stuck = None if facts.models is None else facts.models["stuck"]
    if stuck:
        return "degraded", str(stuck)
    grave = next((finding for finding in findings if is_grave(finding.code, finding.severity)), None)
    return ("serving", "") if grave is None else ("degraded", grave.title)


def _chain(seen: Observation) -> ChainPart:
    latest, age = seen.latest, seen.snapshot_age
    return {
        "block": None if latest is None else latest.block,
        "age": age if age is not None and isfinite(age) else None,
        "failures": seen.chain_failures,
        "tempo": None if latest is None else latest.tempo,
        "epoch": None if latest is None else latest.epoch,
    }


def _standing(point: HistoryPoint) -> StandingPart:
    return {
        "uid": point.uid,
        "registered_at": point.registered_at,
        "rank": point.rank,
        "miners": point.miners,
        "paid_miners": point.paid_miners,
        "incentive": point.incentive,
        "emission": point.emission,
        "emission_per_day": point.emission_per_day,
        "tao_per_day": point.tao_per_day,
        "trust": point.trust,
        "consensus": point.consensus,
        "pruning_score": point.pruning_score,
        "stake": point.stake,
        "collateral": point.collateral,
        "position": point.position,
        "queue": point.queue,
        "immune_blocks": max(0, (point.immune_until or 0) - point.block),
        "burn_share": point.burn_share,
        "validators": point.validators,
        "active_validators": point.active_validators,
        "registration_price": point.registration_price,
        "recent_registrations": point.recent_registrations,
    }


def _refusal(refusal: RefusalView) -> RefusalRow:
    return {
        "reason": refusal.reason,
        "words": refusal.words,
        "total": refusal.total,
        "recent": refusal.recent,
        "last": refusal.last,
    }


def _models(status: Mapping[str, Any]) -> ModelsPart:
    decisions = status["decisions"]
    return {
        "active": dict(status["active"]),
        "standby": status["standby"],
        "candidate": status["candidate"],
        "operation": status["operation"],
        "stuck": status["stuck"],
        "decision": dict(decisions[-1]) if decisions else None,
    }


def _retrain(view: RetrainView, model: ModelView | None) -> RetrainPart:
    return {
        "configured": view.configured,
        "last": None if view.last is None else asdict(view.last),
        "skipped": None if view.skipped is None else asdict(view.skipped),
        "decided_at": view.decided_at,
        "paused_since": view.paused_since,
        "pause_reason": view.pause_reason,
        "next_run": view.next_run,
        "month_gpu_hours": view.month_gpu_hours,
        "month_money": view.month_money,
        "counts": dict(view.counts),
        "problem": view.problem,
        "model_created": None if model is None else model.created,
    }


def _backend(view: BackendView) -> BackendPart:
    return {
        "name": view.name,
        "state": view.state,
        "since": view.since,
        "trouble": view.trouble,
        "why": view.why,
        "answered": view.answered,
        "embedded": view.embedded,
        "link": view.link,
    }


def _log(health: LogHealth) -> LogPart:
    return {
        "rows_written": health.rows_written,
        "images_written": health.images_written,
        "rows_dropped": sum(health.rows_dropped.values()),
        "images_dropped": sum(health.images_dropped.values()),
        "queued": health.queued,
        "stored_bytes": health.stored_bytes,
        "giving_way": health.giving_way,
        "degraded": health.degraded,
    }
