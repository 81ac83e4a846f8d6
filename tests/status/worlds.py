"""Snapshots of a simulated miner, for the tests of the snapshot, the terminal and the page."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from simulation.world import World

from streetvision.axon.records import RequestRecord
from streetvision.monitor.diagnosis import diagnose
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.retraining import RetrainView, RunView
from streetvision.monitor.rule_pass import RulePass, rule_pass
from streetvision.monitor.unjudged import Unjudged
from streetvision.prediction_log.write_health import LogHealth
from streetvision.status.samples import Sample, Samples
from streetvision.status.schema import Span, Status
from streetvision.status.snapshot import Facts, status_of

DAYS = 3.0
HOSTILE = "</script><svg onload=alert(1)>\"'&`<b>x</b>` \x1b[31m\x07"
MODELS: dict[str, Any] = {
    "active": {
        "version": "1.4.0",
        "name": "street-b",
        "for_s": 90_000.0,
        "source": "/srv/models/1.4.0",
        "served_by": [
            {"runner": "openvino", "device": "cpu", "precision": "bf16", "reason": "it passes its gate", "threads": 2}
        ],
    },
    "standby": {"version": "1.3.0", "name": "street-b", "left_s": 60.0},
    "candidate": {"version": "1.5.0", "name": "s", "role": "canary", "share": 0.1, "verdict": "wait", "evidence": []},
    "operation": None,
    "stuck": None,
    "decisions": [{"at": "2026-11-22T20:00:01", "event": "canary", "version": "1.5.0", "why": "by hand", "by": "me"}],
}
HEALTH = LogHealth(3760, 3700, {"overload": 4}, {}, 0, 2, 0, 3 * 2**30, False, None)
FACTS = Facts("0.1.0", 72, "finney", pid=4711, started=1_794_990_000.0, models=MODELS, log=HEALTH)


@cache
def _played() -> tuple[Observation, tuple[Sample, ...]]:
    world, samples = World(7), Samples()
    count = world.counter.__class__.__call__

    class Counter(type(world.counter)):  # type: ignore[misc]  # the same, and it tells the samples
        def __call__(self, record: RequestRecord) -> None:
            count(self, record)
            samples(record)

    world.counter.__class__ = Counter
    world.failing = {"overloaded": 0.05}
    world.run(DAYS)
    return world.observe(), samples.newest()


def observed() -> Observation:
    """Three days of a healthy miner that refuses one request in twenty."""
    return _played()[0]


def samples() -> tuple[Sample, ...]:
    """The requests of those days."""
    return _played()[1]


def status(facts: Facts = FACTS, span: Span = Span(), **changes: Any) -> Status:  # noqa: B008 - immutable
    """The snapshot, the observation changed as asked."""
    seen = replace(observed(), **changes)
    return status_of(facts, seen, rule_pass(seen), samples(), span)


def retraining(**changes: Any) -> RetrainView:
    """A model that was put on a moment before the snapshot; changes are the run's."""
    now = observed().now
    run = RunView("20261121-0200", "promoted", now - 7200.0, now - 3600.0, reason="version 1.4.0 serves")
    return RetrainView(
        last=replace(run, version="1.4.0", **changes),
        decided_at=now - 3600.0,
        next_run=now + 10 * 3600.0,
        month_gpu_hours=3.25,
        month_money=6.5,
        counts={"promoted": 3, "rolled_back": 1, "failed": 0},
    )


def fresh() -> Status:
    """A miner that has seen nothing yet."""
    seen = Observation(now=1.795e9, hotkey="5Own")
    return status_of(Facts("0.1.0", 72, "finney"), seen, RulePass(seen, (), (), diagnose(seen, ())), (), Span(90, 120))


def hostile() -> Status:
    """Every text that comes from outside is an attack."""
    text = HOSTILE
    finding = Finding("disk_low", Severity.CRITICAL, text, (text, f"`{text}"), text, 1.0, text, {"x": text})
    models = MODELS | {
        "active": {"version": text, "name": text, "for_s": 1.0},
        "candidate": {"version": text, "name": text, "role": text, "share": 0.1, "verdict": text, "evidence": [text]},
        "decisions": [{"at": text, "event": text, "version": text, "why": text, "by": text}],
    }
    facts = replace(FACTS, network=text, models=models, version=text, log=replace(HEALTH, degraded=text))
    run = RunView(text, text, 1.0, 2.0, text, text, text, text, text, curves=text)
    retrain = RetrainView(last=run, skipped=run, paused_since=1.0, pause_reason=text, counts={text: 1}, problem="")
    seen = replace(observed(), hotkey=text, endpoint=text, retrain=retrain)
    said = [sample._replace(hotkey=text, reason=text) for sample in samples()[-50:]]
    failed = [sample._replace(probability=None) for sample in said[:9]]
    passed = RulePass(seen, (finding,), (Unjudged(text, text),), diagnose(seen, (finding,)))
    return status_of(facts, seen, passed, [*failed, *said], Span())
