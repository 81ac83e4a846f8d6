"""The monitor's judgement: every simulated trouble found in time, healthy months without alarm, and what a pass costs.

python benchmarks/monitor.py [--seeds 3] [--healthy-days 30] [--history-days 90]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
from simulation.scenarios import SCENARIOS, WARM_UP_DAYS, Outcome, play
from simulation.subnet import OWN, TEMPO
from simulation.world import World

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.monitor.diagnosis import diagnose
from streetvision.monitor.history import History, read_history
from streetvision.monitor.rules import judge
from streetvision.monitor.traffic_counter import TrafficCounter

GOAL_MS = 50.0
"""For a pass of the rules over the whole history."""
_RECORD = RequestRecord(
    dialect=Dialect.LEGACY,
    hotkey="validator",
    uid=1,
    stake=1.0,
    authenticated=True,
    status=200,
    reason="ok",
    image=None,
    prediction=Prediction(0.7, 0.8, np.zeros(1, np.float32), "1.0.0", 1, 1, 224, 224, Timings(0.001, 0.0, 0.01)),
    arrival=1.8e9,
    headroom=8.0,
    stages=StageTimings(0.0002, 0.001, 0.011, 0.0001),
    remote="",
)


def scenario_rows(seeds: int) -> list[harness.Row]:
    outcomes: dict[str, list[Outcome]] = {scenario.name: [] for scenario in SCENARIOS}
    for seed in range(1, seeds + 1):
        warm = World(seed).run(WARM_UP_DAYS)
        for scenario in SCENARIOS:
            outcomes[scenario.name].append(play(scenario, warm.fork()))
    return [_row(scenario.code, outcomes[scenario.name]) for scenario in SCENARIOS]


def _row(code: str, outcomes: list[Outcome]) -> harness.Row:
    blocks = [o.blocks for o in outcomes if o.blocks is not None and o.finding is not None]
    severity = outcomes[0].finding.severity.label if outcomes[0].finding else None
    return {
        "scenario": outcomes[0].name,
        "finding": code,
        "severity": severity,
        "cause": outcomes[0].diagnosis.cause.value,
        "found_of": f"{len(blocks)}/{len(outcomes)}",
        "minutes_at_most": max(blocks) * 12 / 60 if blocks else None,
        "also": ", ".join(outcomes[0].others),
    }


def healthy_row(seed: int, days: int) -> harness.Row:
    """Looks every ten minutes; a finding of any severity counts once for each look that has it."""
    world, alarms, looks = World(100 + seed), 0, 0
    restarts = {days * 48, days * 100}
    for look in range(days * 144):
        world.advance(50)
        if look % 36 == 0:
            world.downsample()
        if look in restarts:
            world.restart()
        alarms += len(judge(world.observe()))
        looks += 1
    return {"healthy_days": days, "seed": 100 + seed, "looks": looks, "findings": alarms}


def _count(requests: int) -> None:
    counter = TrafficCounter(_RECORD.arrival)
    for _ in range(requests):
        counter(_RECORD)


def cost_rows(days: int) -> list[harness.Row]:
    world = World(7).run(days - 2.5).run(2.5, blocks=5)
    world.downsample()
    points, buckets = world.history.points, world.history.buckets
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = History(folder, OWN, 72, now=lambda: world.now)
        history.points, history.buckets = (), ()
        history.add_traffic(buckets)
        history._waiting[0].extend(points)
        start = time.perf_counter()
        history.close()
        write = (time.perf_counter() - start) * 1e3
        size = sum(file.stat().st_size for file in folder.iterdir())
        read = harness.median_ms(lambda: read_history(folder, OWN, 72), 5)
    snapshots = iter([world.subnet.snapshot(world.now + i) for i in range(1, 100)])
    measured = {
        "counting a request": harness.median_ms(lambda: _count(1_000), 20) / 1_000,
        "rule pass (all rules, fresh observation)": harness.median_ms(lambda: judge(world.observe())),
        "rule pass and diagnosis": harness.median_ms(lambda: diagnose(world.observe())),
        "adding a snapshot": harness.median_ms(lambda: world.history.add(next(snapshots))),
        "writing it all at once": write,
        "reading it all back": read,
    }
    facts: harness.Row = {"history_days": days, "points": len(points), "buckets": len(buckets), "file_kib": size / 1024}
    return [{"what": what, "ms": ms, **facts} for what, ms in measured.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--healthy-days", type=int, default=30)
    parser.add_argument("--history-days", type=int, default=90)
    options = parser.parse_args()
    where = harness.machine()
    costs = cost_rows(options.history_days)
    harness.report("monitor-cost", "What the monitor's judgement costs", costs, where)
    scenarios = scenario_rows(options.seeds)
    harness.report("monitor-scenarios", f"Simulated troubles (a tempo is {TEMPO * 12 / 60:g} min)", scenarios, where)
    healthy = [healthy_row(seed, options.healthy_days) for seed in range(options.seeds)]
    harness.report("monitor-healthy", "Healthy months: findings of any severity", healthy, where)
    missed = [row for row in scenarios if row["found_of"] != f"{options.seeds}/{options.seeds}"]
    alarms = [row for row in healthy if row["findings"]]
    slow = [row for row in costs if "rule pass" in str(row["what"]) and float(row["ms"] or 0) > GOAL_MS]
    return 1 if missed or alarms or slow else 0


if __name__ == "__main__":
    sys.exit(main())
