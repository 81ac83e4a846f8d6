"""What a candidate must show before the running miner hears of it, and its labels before they are learned from. Pure.

Measurements in, verdicts out. Each gate says in one sentence why it decided as it did. A model that is put on wrongly
costs an operator money and one that is refused costs a night, so doubt refuses: the frozen set must show that little
can be lost, no set and no part of one may show a loss beyond noise, and where `accept` is `better` one set must show
a gain beyond noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.evaluation.comparison import SIGNIFICANT, Comparison, compare
from streetvision.evaluation.figures import MIN_GROUPS, Sample
from streetvision.evaluation.judging import common
from streetvision.evaluation.predictions import Answers
from streetvision.evaluation.reward import Assumptions
from streetvision.evaluation.slices import divisions
from streetvision.retrain_log.records import TRAFFIC
from streetvision.rollout.gates import MIN_COMPARED, SHIFT_Z, standard_error
from streetvision.rollout.stats import surely_above
from streetvision.sources.dataset import Example

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BETTER, NOT_WORSE = "better", "not_worse"
FROZEN, LATEST, NEW_LABELS = "frozen_set", "latest_labels", "new_labels"
ANSWERED = "answered_requests"
"""Names of the gates, beside TRAFFIC."""
MIN_LABELS = 20
"""New labels of which a share can be told; fewer teach little, and the frozen set judges what they taught."""
LABEL_RISK = 0.01
"""Chance of taking sound labels for wrong ones: it costs a look at them."""
CHANCE = 0.5
"""Share of labels that a probe of balanced classes shares with labels drawn at random."""
_SLICE_DRAWS = 400


class Outcome(StrEnum):
    """What a gate says."""

    PASSED = "passed"
    REFUSED = "refused"
    UNJUDGED = "unjudged"
    """There was too little to judge by."""


@dataclass(frozen=True, slots=True)
class Standards:
    """What is asked; the settings --retrain.* and --rollout.*."""

    accept: str = BETTER
    """`better`: a gain beyond noise; `not_worse`: no loss."""
    max_loss: float = 0.02
    """Accuracy on the frozen set that a candidate may turn out to lose, by the lower end of the interval."""
    max_doubt: float = 0.25
    """Share of the new labels that both the serving model and a probe may contradict."""
    min_agreement: float = 0.95
    """Share of yesterday's pictures on which decisions must be equal."""
    max_shift: float = 0.1
    """Largest mean difference in probability on them; the miner's own gates ask the same of a canary."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One test and how it ended."""

    name: str
    outcome: Outcome
    why: str
    """A clause."""
    improved: bool = False
    """Whether it shows a gain beyond noise."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """For people, as JSON."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All gates together."""

    accepted: bool
    why: str
    """A clause."""


def judge(gates: Sequence[Gate], standards: Standards) -> Judgement:
    """Whether the candidate may go on: nothing refuses, the frozen set passed, a gain is there where one is asked."""
    refused = next((gate for gate in gates if gate.outcome is Outcome.REFUSED), None)
    if refused is not None:
        return Judgement(False, f"{_TITLES[refused.name]}: {refused.why}")
    if not any(gate.name == FROZEN and gate.outcome is Outcome.PASSED for gate in gates):
        return Judgement(False, "the frozen set did not judge it")
    gains = [gate for gate in gates if gate.improved]
    if standards.accept == BETTER and not gains:
        return Judgement(False, "no set shows it to be better beyond noise, and retrain.accept wants that")
    reason = gains[0] if gains else next(gate for gate in gates if gate.name == FROZEN)
    return Judgement(True, f"{_TITLES[reason.name]}: {reason.why}")


_TITLES = {
    FROZEN: "the frozen set",
    LATEST: "the latest labels",
    TRAFFIC: "yesterday's traffic",
    NEW_LABELS: "the new labels",
    ANSWERED: "the requests of its trial",
}


def judge_frozen(first: Answers, second: Answers, standards: Standards, assumed: Assumptions | None = None) -> Gate:
    """Candidate against the serving model on the set that nothing is trained on: it must show that little is lost."""
    gate = _judge_set(FROZEN, first, second, assumed)
    if gate.outcome is Outcome.REFUSED:
        return gate
    low = gate.figures["differences"]["accuracy"]["low"]
    if low is None:
        return _refused(gate, f"it has fewer than {MIN_GROUPS} groups of pictures, too few to tell luck from skill")
    if low < -standards.max_loss:
        return _refused(gate, f"accuracy may fall by {-low:.1%}, and at most {standards.max_loss:.1%} is allowed")
    return gate


def judge_latest(first: Answers, second: Answers, assumed: Assumptions | None = None) -> Gate:
    """Candidate against the serving model on held-out labels: it may not lose beyond noise."""
    if not _both(first, second):
        return Gate(LATEST, Outcome.UNJUDGED, "no new label was held out")
    return _judge_set(LATEST, first, second, assumed)


def judge_answered(first: Answers, second: Answers, assumed: Assumptions | None = None) -> Gate:
    """The new model against the one before on the requests of its trial whose labels are known by now."""
    if not _both(first, second):
        return Gate(ANSWERED, Outcome.UNJUDGED, "of none of the requests a label is known")
    return _judge_set(ANSWERED, first, second, assumed)


def judge_traffic(new: Floats, old: Floats, standards: Standards) -> Gate:
    """P(roadwork) of candidate and serving model on different pictures [N]: would the miner's gates surely refuse?"""
    count, flips = len(new), int(((new > 0.5) != (old > 0.5)).sum())
    if count < MIN_COMPARED:
        return Gate(TRAFFIC, Outcome.UNJUDGED, f"only {count} pictures of it can be replayed")
    shifts = np.abs(new - old)
    error = standard_error(float(shifts.sum()), float((shifts**2).sum()), count)
    figures = {"pictures": count, "agreement": 1.0 - flips / count, "mean_shift": float(shifts.mean())}
    if surely_above(flips, count, 1.0 - standards.min_agreement):
        why = f"it decides {flips} of {count} pictures otherwise (allowed: {1.0 - standards.min_agreement:.0%})"
        return Gate(TRAFFIC, Outcome.REFUSED, why, figures=figures)
    if figures["mean_shift"] - SHIFT_Z * error > standards.max_shift:
        why = f"its probabilities differ by {figures['mean_shift']:.3f} on average (allowed: {standards.max_shift:g})"
        return Gate(TRAFFIC, Outcome.REFUSED, why, figures=figures)
    return Gate(TRAFFIC, Outcome.PASSED, f"decides {count - flips} of {count} pictures alike", figures=figures)


def judge_labels(labels: Bools, served: Floats, probed: Floats, standards: Standards) -> Gate:
    """New labels [N] beside P(roadwork) by the serving model and by a probe that saw neither them nor their groups.

    The model alone contradicts many sound labels, since hard pictures are labelled first, and a probe makes mistakes.
    What both contradict is suspect; so are labels that the model contradicts and that follow nothing which a probe can
    see, as where half of them were turned round. Where the probe could not be fitted it says NaN.
    """
    known = np.isfinite(probed) & np.isfinite(served)
    count = int(known.sum())
    if count < MIN_LABELS:
        return Gate(NEW_LABELS, Outcome.UNJUDGED, f"only {count} of them can be compared with what is known")
    against = ((served > 0.5) != labels) & known
    doubted, refused = int((against & ((probed > 0.5) != labels)).sum()), int(against.sum())
    shared = int((((probed > 0.5) == labels) & known).sum())
    figures = {"labels": count, "contradicted": refused, "doubted": doubted, "shared_by_probe": shared}
    said = f"{doubted} of {count} are contradicted by the serving model and by their likes"
    if surely_above(doubted, count, standards.max_doubt, LABEL_RISK):
        return Gate(NEW_LABELS, Outcome.REFUSED, said, figures=figures)
    if surely_above(refused, count, standards.max_doubt, LABEL_RISK) and not surely_above(
        shared, count, CHANCE, LABEL_RISK
    ):
        why = f"{refused} of {count} are contradicted by the serving model, and nothing in the pictures explains them"
        return Gate(NEW_LABELS, Outcome.REFUSED, why, figures=figures)
    return Gate(NEW_LABELS, Outcome.PASSED, said, figures=figures)


def _judge_set(name: str, first: Answers, second: Answers, assumed: Assumptions | None) -> Gate:
    """Refused for a loss beyond noise, on the whole or on a part."""
    ours, theirs = common(first, second)
    found = compare(ours, theirs, assumed)
    figures = _figures(found)
    if found.verdict == "worse":
        return Gate(name, Outcome.REFUSED, f"it is worse: {_said(found)}", figures=figures)
    worse = _worse_parts(_both(first, second), ours, theirs)
    if worse:
        why = f"it is worse where {' and '.join(worse)}"
        return Gate(name, Outcome.REFUSED, why, figures=figures | {"worse_parts": worse})
    better = found.verdict == "better"
    return Gate(name, Outcome.PASSED, f"it is {'better' if better else 'not worse'}: {_said(found)}", better, figures)


def _refused(gate: Gate, why: str) -> Gate:
    return Gate(gate.name, Outcome.REFUSED, why, figures=gate.figures)


def _both(first: Answers, second: Answers) -> list[Example]:
    """The pictures that both answered, in the order of `common`."""
    answered = {example.path for example in second.examples}
    return [example for example in first.examples if example.path in answered]


def _worse_parts(examples: Sequence[Example], ours: Sample, theirs: Sample) -> list[str]:
    """Parts that lose beyond noise; the more parts are looked at, the surer each must be (Bonferroni)."""
    parts = list(divisions(examples))
    return [
        f"{tag} is {value or 'not said'}"
        for tag, value, chosen in parts
        if _surely_worse(compare(ours.part(chosen), theirs.part(chosen), draws=_SLICE_DRAWS), len(parts))
    ]


def _surely_worse(found: Comparison, tests: int) -> bool:
    return found.verdict == "worse" and found.p_value < SIGNIFICANT / tests


def _said(found: Comparison) -> str:
    change = found.differences["accuracy"]
    spread = "" if change.low is None else f" ({change.low:+.1%} to {change.high:+.1%})"
    return f"accuracy {change.value or 0.0:+.1%}{spread} on {found.count:,} pictures, {found.why}"


def _figures(found: Comparison) -> dict[str, Any]:
    differences = {
        name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.differences.items()
    }
    return {
        "verdict": found.verdict,
        "pictures": found.count,
        "differences": differences,
        "only_candidate_right": found.only_first,
        "only_serving_right": found.only_second,
        "p_value": found.p_value,
    }
