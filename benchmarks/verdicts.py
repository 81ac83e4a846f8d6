"""How often the comparison of two models is wrong, and how often it sees a real difference: made-up models.

Groups of 40 pictures; both models are right on 80 % of them on average. `spread` is by how much a group favours one of
them by chance (the deviation of the difference in accuracy between groups). With `better` 0 the models are equal, and
every verdict but `undecided` is an error; else one is better by so much accuracy, and `found` says how often that is
seen. `wrong` counts verdicts for the wrong model.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from harness import RESULTS, Row, machine, report

from streetvision.evaluation.comparison import compare
from streetvision.evaluation.figures import Sample
from streetvision.evaluation.reward import Assumptions

GROUPS = (5, 7, 10, 20, 40)
SPREADS = (0.0, 0.1)
BETTER = (0.0, 0.1)
PICTURES, RIGHT, DRAWS = 40, 0.8, 500
QUICK = Assumptions(challenges=1)
"""The reward does not decide."""


def pair(groups: int, spread: float, better: float, seed: int) -> tuple[Sample, Sample]:
    """Two models over the same pictures."""
    rng = np.random.default_rng((seed, groups))
    count = groups * PICTURES
    labels, names = np.arange(count) % 2 == 0, np.repeat(np.arange(groups), PICTURES).astype(str)
    advantage = np.repeat(rng.normal(better, spread, groups), PICTURES) / 2
    sign = np.where(labels, 1.0, -1.0)
    first, second = (np.where(rng.random(count) < RIGHT + side * advantage, sign, -sign) for side in (1, -1))
    return Sample(first, labels, names), Sample(second, labels, names)


def row(groups: int, spread: float, better: float, runs: int) -> Row:
    """The share of each verdict over many pairs."""
    verdicts = [compare(*pair(groups, spread, better, seed), QUICK, draws=DRAWS).verdict for seed in range(runs)]
    cells: Row = {"groups": groups, "spread": spread, "better": better, "pairs": runs}
    found = verdicts.count("better") / runs if better else None
    wrong = (verdicts.count("worse") + (0 if better else verdicts.count("better"))) / runs
    return cells | {"found": found, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for verdicts.json")
    arguments = parser.parse_args()
    rows = [row(*case, arguments.pairs) for case in product(GROUPS, SPREADS, BETTER)]
    report("verdicts", "How often the comparison of two models is right", rows, machine(), arguments.results)


if __name__ == "__main__":
    main()
