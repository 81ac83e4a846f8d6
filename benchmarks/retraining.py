"""What the loop is worth: rehearsals of retraining with several seeds, the expected reward with it less that without.

Each seed draws other streets and trains anew; the real miner, validator, training and gates on the CPU. A run whose
model the gates refuse counts with the model that goes on serving: a gain of nothing. Ten minutes a seed on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from harness import RESULTS, Row, machine, report

from streetvision.rehearsal.rehearsal import Rehearsal
from streetvision.rehearsal.report import AFTER, BEFORE, NIGHT, TRAINING, WITH, WITHOUT, Report
from streetvision.rehearsal.scale import Counts, Scale

SEEDS = (0, 1, 2, 3, 4)


def rehearse(seed: int, scale: Scale) -> Report:
    """One rehearsal, without the attempts to harm it."""
    with tempfile.TemporaryDirectory(prefix="sv-") as folder:
        return Rehearsal(Path(folder), _say, scale, seed=seed, tries_to_harm=False).carry_out()


def row(seed: int, found: Report) -> Row:
    """Its figures."""
    before, beside = found.asked[NIGHT].p99_ms, found.asked[TRAINING].p99_ms
    return {
        "seed": seed,
        "run": found.endings[0].state,
        "reward by day": round(found.figures[BEFORE].reward, 3),
        "reward by night, without": round(found.figures[WITHOUT].reward, 3),
        "reward by night, with": round(found.figures[WITH].reward, 3),
        "gain": round(found.gain, 3),
        "p99 ms before": before,
        "p99 ms beside the training": beside,
        "ratio (goal <= 2)": round(beside / before, 2) if before and beside else None,
        "requests beside it": found.asked[TRAINING].challenges,
        "accuracy asked before": _rounded(found.asked[NIGHT].accuracy),
        "accuracy asked after": _rounded(found.asked[AFTER].accuracy),
        "lost (goal 0)": found.lost,
        "seconds": round(found.seconds),
    }


def summary(rows: Sequence[Row]) -> Row:
    """The mean of the gains with their spread from seed to seed."""
    gains = [float(one["gain"] or 0.0) for one in rows]
    spread = round(stdev(gains), 3) if len(gains) > 1 else None
    return dict.fromkeys(rows[0]) | {"seed": "mean", "run": f"spread {spread}", "gain": round(fmean(gains), 3)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _say(event: object) -> None:
    if isinstance(event, dict) and event.get("event") != "run":
        print(event, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--nice", type=int, default=0, help="how far a training steps back; by night it is 10")
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures of a rehearsal")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    where, rows = machine(), list[Row]()
    scale = Scale(_part(Counts(), given.share), settings={"RETRAIN_NICE": str(given.nice)})
    for seed in given.seeds:
        rows.append(row(seed, rehearse(seed, scale)))
        report("retraining", "Rehearsals of retraining", [*rows, summary(rows)], where, given.results)


def _part(counts: Counts, share: float) -> Counts:
    names = ("day", "night", "frozen_day", "frozen_night", "test")
    return replace(counts, **{name: round(share * getattr(counts, name)) for name in names})


if __name__ == "__main__":
    main()
