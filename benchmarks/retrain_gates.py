"""How often retraining's gates say yes: to models better, equal and worse by so much, to labels sound and wrong.

Answers are drawn, not computed: pictures in groups of three, of which some are hard for both models, and two models
that differ on some pictures by luck and on average by what is asked. So it is known what the gates should say. One
night is one draw of both models on a frozen set and on 120 held-out labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import RESULTS, Row, machine, report

from streetvision.evaluation.predictions import Answers, sample_of
from streetvision.evaluation.reward import Assumptions
from streetvision.retrain.gates import (
    BETTER,
    NOT_WORSE,
    Outcome,
    Standards,
    judge,
    judge_frozen,
    judge_labels,
    judge_latest,
)
from streetvision.sources.dataset import Example

GROUP = 3
LATEST = 120
SERVING = 0.90
"""Accuracy of the serving model."""
LUCK = 0.03
"""Share of the pictures that only one of two equally good models gets right, on each side."""
CHANGES = (-0.05, -0.02, 0.0, 0.02, 0.05)
SHORT = Assumptions(challenges=200)
LABEL_KINDS = {
    "sound, serving model right on 90 %, probe on 85 %": (0.0, 0.90, 0.85),
    "sound but hard, serving model right on 60 %, probe on 75 %": (0.0, 0.60, 0.75),
    "half turned round, sound ones beside them": (0.5, 0.90, 0.85),
    "half turned round, nothing beside them": (0.5, 0.90, 0.50),
    "all turned round, sound ones beside them": (1.0, 0.90, 0.85),
}
"""Share that is wrong, then how often model and probe say what is so."""


def night(count: int, change: float, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """A candidate that is better by `change` on average, and the serving model, on `count` pictures."""
    examples = [Example(Path(f"{n}"), n % 2 == 0, f"g{n // GROUP}", "test") for n in range(count)]
    hardness = np.repeat(rng.normal(0.0, 1.0, -(-count // GROUP)), GROUP)[:count] + rng.normal(0.0, 1.0, count)
    right = hardness.argsort().argsort() < SERVING * count
    lost, won = LUCK + max(-change, 0.0), LUCK + max(change, 0.0)
    ours = np.where(right, rng.random(count) >= lost / SERVING, rng.random(count) < won / (1.0 - SERVING))
    return _answers(examples, ours), _answers(examples, right)


def _answers(examples: list[Example], right: np.ndarray) -> Answers:
    logits = [(1.0 if one.label else -1.0) * (1.0 if ok else -1.0) for one, ok in zip(examples, right, strict=True)]
    return Answers("", tuple(examples), sample_of(examples, logits))


def models(nights: int) -> Iterator[Row]:
    for frozen in (300, 1000):
        for change in CHANGES:
            rng = np.random.default_rng((frozen, round(1000 * change) + 100))
            accepted = dict.fromkeys((BETTER, NOT_WORSE), 0)
            for _ in range(nights):
                gates = [
                    judge_frozen(*night(frozen, change, rng), Standards(), SHORT),
                    judge_latest(*night(LATEST, change, rng), SHORT),
                ]
                for accept in accepted:
                    accepted[accept] += judge(gates, Standards(accept=accept)).accepted
            yield {
                "frozen pictures": frozen,
                "accuracy, new less serving": change,
                "accepted as better, %": round(100 * accepted[BETTER] / nights, 1),
                "accepted as not worse, %": round(100 * accepted[NOT_WORSE] / nights, 1),
                "nights": nights,
            }


def labels(draws: int) -> Iterator[Row]:
    rng = np.random.default_rng(15)
    for kind, (wrong, served, probed) in LABEL_KINDS.items():
        for count in (50, 100, 200, 400):
            refused = sum(_refused(count, wrong, served, probed, rng) for _ in range(draws))
            yield {"labels": kind, "count": count, "refused, %": round(100 * refused / draws, 1), "draws": draws}


def _refused(count: int, wrong: float, served: float, probed: float, rng: np.random.Generator) -> bool:
    truth = rng.random(count) < 0.5
    said = [np.where(truth ^ (rng.random(count) >= right), 0.9, 0.1) for right in (served, probed)]
    return judge_labels(truth ^ (rng.random(count) < wrong), said[0], said[1], Standards()).outcome is Outcome.REFUSED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=200, help="for each kind of model")
    parser.add_argument("--draws", type=int, default=2000, help="for each kind of labels")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for retrain_gates-*.json")
    arguments = parser.parse_args()
    where = machine()
    report("retrain_gates-labels", "Label sets refused", list(labels(arguments.draws)), where, arguments.results)
    report("retrain_gates-models", "Models accepted", list(models(arguments.nights)), where, arguments.results)


if __name__ == "__main__":
    main()
