"""What the loop is worth: rehearsals of retraining with several seeds, the expected reward with it less that without.

Each seed draws other streets and trains anew; the real miner, validator, training and gates on the CPU. A run whose
model the gates refuse counts with the model that goes on serving: a gain of nothing. Six minutes a seed on two cores;
`--beside 5` does five at once, each on its own share of the cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from queue import Queue
from statistics import fmean, median, stdev

from harness import RESULTS, Row, machine, report

from streetvision.cli.retrain_rehearse import report_page
from streetvision.rehearsal.rehearsal import Rehearsal
from streetvision.rehearsal.report import AFTER, BEFORE, NIGHT, TRAINING, WITH, WITH_BY_DAY, WITHOUT, Report
from streetvision.rehearsal.scale import Counts, Scale

SEEDS = (0, 1, 2, 3, 4)


def rehearse(seed: int, scale: Scale) -> Row:
    """The figures of one rehearsal, without the attempts to harm it."""
    with tempfile.TemporaryDirectory(prefix="sv-") as folder:
        found = Rehearsal(
            Path(folder), lambda event: _say(seed, event), scale, seed=seed, tries_to_harm=False
        ).carry_out()
    print(report_page(found), flush=True)
    return row(seed, found)


def rehearse_all(seeds: Sequence[int], scale: Scale, beside: int) -> Iterator[Row]:
    """All of them, so many at once, as they end."""
    places: Queue[Sequence[int]] = get_context("spawn").Manager().Queue()
    for place in shares(sorted(os.sched_getaffinity(0)), beside):
        places.put(place)
    with ProcessPoolExecutor(beside, get_context("spawn"), _pin, (places,)) as pool:
        for done in as_completed([pool.submit(rehearse, seed, scale) for seed in seeds]):
            yield done.result()


def shares(cores: Sequence[int], count: int) -> list[Sequence[int]]:
    """The same number of cores for each; some may be left over."""
    size = max(1, len(cores) // count)
    return [cores[(place * size) % len(cores) :][:size] for place in range(count)]


def row(seed: int, found: Report) -> Row:
    """Its figures."""
    before, beside = found.asked[NIGHT].p99_ms, found.asked[TRAINING].p99_ms
    return {
        "seed": seed,
        "run": found.endings[0].state,
        "reward by day": round(found.figures[BEFORE].reward, 3),
        "by day, with": round(found.figures[WITH_BY_DAY].reward, 3),
        "reward by night, without": round(found.figures[WITHOUT].reward, 3),
        "reward by night, with": round(found.figures[WITH].reward, 3),
        "gain": round(found.gain, 3),
        "accuracy by night, without": round(found.figures[WITHOUT].accuracy, 3),
        "accuracy by night, with": round(found.figures[WITH].accuracy, 3),
        "p99 ms before": _rounded(before),
        "p99 ms beside the training": _rounded(beside),
        "ratio (goal <= 2)": round(beside / before, 2) if before and beside else None,
        "requests beside it": found.asked[TRAINING].challenges,
        "accuracy asked before": _rounded(found.asked[NIGHT].accuracy),
        "accuracy asked after": _rounded(found.asked[AFTER].accuracy),
        "lost (goal 0)": found.lost,
        "seconds": round(found.seconds),
    }


def summary(rows: Sequence[Row]) -> Row:
    """The mean of the gains with their spread from seed to seed, and the median ratio of the p99."""
    gains = [float(one["gain"] or 0.0) for one in rows]
    ratios = [float(one["ratio (goal <= 2)"]) for one in rows if one["ratio (goal <= 2)"]]
    spread = round(stdev(gains), 3) if len(gains) > 1 else None
    found: Row = {"seed": "mean", "run": f"spread {spread}", "gain": round(fmean(gains), 3)}
    return dict.fromkeys(rows[0]) | found | {"ratio (goal <= 2)": median(ratios) if ratios else None}


def _pin(places: Queue[Sequence[int]]) -> None:
    """This process, and all that it starts, to a share of the cores of its own."""
    os.sched_setaffinity(0, places.get())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _say(seed: int, event: object) -> None:
    if isinstance(event, dict) and event.get("event") != "run":
        print(f"seed {seed}: {event}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--beside", type=int, default=1, help="how many at once, each on a share of the cores")
    parser.add_argument("--nice", type=int, default=0, help="how far a training steps back; by night it is 10")
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures of a rehearsal")
    parser.add_argument("--listen", type=float, default=40.0, help="seconds for which each stream is asked")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    where, rows = machine() | {"at_once": given.beside}, list[Row]()
    scale = Scale(_part(Counts(), given.share), listen_s=given.listen, settings={"RETRAIN_NICE": str(given.nice)})
    for one in rehearse_all(given.seeds, scale, given.beside):
        rows = sorted([*rows, one], key=lambda row: int(row["seed"] or 0))
        report("retraining", "Rehearsals of retraining", [*rows, summary(rows)], where, given.results)


def _part(counts: Counts, share: float) -> Counts:
    names = ("day", "night", "frozen_day", "frozen_night", "test")
    return replace(counts, **{name: round(share * getattr(counts, name)) for name in names})


if __name__ == "__main__":
    main()
