"""All answers are of one class."""

from __future__ import annotations

from math import log

from streetvision.base.wording import moment, share
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import DAY, Thresholds
from streetvision.monitor.traffic import TrafficBucket, merged

_BASE_ANSWERS = 200
"""Answers from which a week's mix is known."""
_LEAST_MINORITY = 0.02
"""However one-sided last week was: a model that was stuck then must not make being stuck usual."""


def one_class(seen: Observation, limits: Thresholds) -> list[Finding]:
    """So many answers in a row are of one class that chance does not explain it."""
    run = _one_class_run(seen)
    if run is None or run.answered < limits.one_class_answers:
        return []
    before = seen.traffic.total(run.start - 7 * DAY, run.start)
    rarer = min(before.positive, before.answered - before.positive) / max(1, before.answered)
    usual = max(rarer, _LEAST_MINORITY) if before.answered >= _BASE_ANSWERS else limits.one_class_minority
    if run.answered * log(1 - min(usual, 0.5)) > log(limits.one_class_chance):
        return []
    word = "roadwork" if run.positive else "no roadwork"
    return [
        Finding(
            code="one_class",
            severity=Severity.CRITICAL,
            title=f"the last {run.answered} answers all say {word}",
            evidence=(
                f"Since {moment(run.start)} all {run.answered} answers were {word}; usually {share(usual)} are of the "
                "other class.",
                "The Matthews correlation of one class is 0: half of the reward's base is lost.",
            ),
            remedy="Look at the last images and scores: streetvision log tail. Go back to the model before "
            "(streetvision models rollback), or check that this one was exported with its head and calibration.",
            since=run.start,
            data={"answers": run.answered, "class": word, "usual_share_of_other": round(usual, 4)},
        )
    ]


def _one_class_run(seen: Observation) -> TrafficBucket | None:
    """The newest buckets whose answers are all of one class."""
    run: list[TrafficBucket] = []
    positive: bool | None = None
    for bucket in reversed(seen.traffic.between(seen.now - 7 * DAY, seen.now + 1)):
        if bucket.answered:
            if 0 < bucket.positive < bucket.answered or positive not in (None, bucket.positive > 0):
                break
            positive = bucket.positive > 0
            run.append(bucket)
    if not run:
        return None
    return merged(run[::-1], run[-1].start, seen.now - run[-1].start)


_ANSWERS = Need(
    "too few answers in the last week",
    lambda seen, limits: seen.traffic.answered(seen.now - 7 * DAY, seen.now + 1) >= limits.one_class_answers,
)

RULES = (
    Rule(
        code="one_class",
        order=800,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="All recent answers are of one class, so many that chance does not explain it",
        remedy="Roll the model back; check its head and calibration",
        judge=one_class,
        needs=(_ANSWERS,),
        absence=proves_after_requests,
    ),
)
