"""How figures, intervals and verdicts read, in the terminal and on the page alike."""

from __future__ import annotations

from streetvision.base.wording import share
from streetvision.evaluation.comparison import Comparison
from streetvision.evaluation.figures import NAMES, Estimate, has_intervals
from streetvision.evaluation.judging import Judged
from streetvision.evaluation.reward import Assumptions

NOTHING = "–"
LABELS = {
    "accuracy": "accuracy",
    "mcc": "MCC",
    "auc": "AUC",
    "recall": "recall",
    "false_alarms": "false alarms",
    "ece": "ECE",
    "nll": "NLL",
    "reward": "reward",
}
MEANINGS = {
    "accuracy": "share of right answers",
    "mcc": "correlation of answers with the truth: 0 is chance, 1 is perfect",
    "auc": "how often a picture with roadwork scores above one without",
    "recall": "share of the roadwork that was found",
    "false_alarms": "share of the other pictures that were called roadwork",
    "ece": "how far stated probabilities are from what is so, on average",
    "nll": "surprise at the truth in nats: lower is better calibrated and surer",
    "reward": "what the subnet would pay, 1 being the most",
}


def number(value: float | None) -> str:
    """`0.812`, or a dash."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """`+0.012`, or a dash."""
    return NOTHING if value is None else f"{value:+.3f}"


def interval(one: Estimate, *, sign: bool = False) -> str:
    """`0.71 to 0.88`; empty where there is none."""
    if one.low is None or one.high is None:
        return ""
    return f"{one.low:+.2f} to {one.high:+.2f}" if sign else f"{one.low:.2f} to {one.high:.2f}"


def verdict_words(found: Comparison, model: str, rival: str) -> str:
    """`A is better than B: ...`."""
    if found.verdict == "undecided":
        return f"Undecided between {model} and {rival}: {found.why}"
    return f"{model} is {found.verdict} than {rival}: {found.why}"


def disagreement_words(found: Comparison, model: str, rival: str) -> str:
    """What McNemar's test counts."""
    return (
        f"Of {found.count:,} pictures {model} alone got {found.only_first:,} right and {rival} alone "
        f"{found.only_second:,} (McNemar's exact test: p = {found.p_value:.2g})"
    )


def pictures_words(one: Judged) -> str:
    """What was judged on, and what was not."""
    sample, shown = one.sample, one.shown
    positives = int(sample.labels.sum())
    words = f"{_count(len(sample), 'picture')}, {positives:,} with roadwork, in {_count(sample.group_count, 'group')}"
    missing = len(one.answers.unanswered)
    words += f"; {missing:,} could not be answered" if missing else ""
    return words + (f"; {shown.left_out:,} could not be read" if shown.left_out else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def caveats(one: Judged) -> list[str]:
    """What keeps figures from meaning what they seem to, as clauses."""
    few = [] if has_intervals(one.sample) else ["there are too few groups of pictures for intervals"]
    return [*_undefined(one), *few]


def _undefined(one: Judged) -> list[str]:
    """Which figures have no value, and why."""
    missing = [LABELS[name] for name in NAMES if one.figures[name].value is None]
    if not missing:
        return []
    if not len(one.sample):
        return ["no picture was answered"]
    absent = "no roadwork" if one.sample.labels.any() else "roadwork"
    return [f"no picture is labelled `{absent}`: {', '.join(missing)} cannot be told"]


def assumed_words(assumed: Assumptions) -> str:
    """What the reward rests on."""
    return (
        f"{share(assumed.positive_share)} of challenges show roadwork, {share(assumed.silent)} get no answer, and "
        f"{share(assumed.late)} of the answers come too late"
    )
