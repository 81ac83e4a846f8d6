"""Rules about what we answer: one class only, or another mix than last week."""

from __future__ import annotations

from math import log

from streetvision.base.wording import moment, share
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import DAY, HOUR, Thresholds
from streetvision.monitor.traffic import SCORE_BINS, TrafficBucket, merged

_BASE_ANSWERS = 200
"""Answers from which a week's mix is known."""
_LEAST_MINORITY = 0.02
"""However one-sided last week was: a model that was stuck then must not make being stuck usual."""
_DRIFT_LONGEST_S = 6 * HOUR


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


def score_drift(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The answers' distribution is not last week's."""
    sample = seen.traffic.latest(limits.drift_answers, seen.now + 1, _DRIFT_LONGEST_S)
    base = seen.traffic.total(sample.start - 7 * DAY, sample.start)
    if sample.answered < limits.drift_answers or base.answered < limits.drift_base_answers:
        return []
    index = stability_index(sample.scores, base.scores)
    noise = 2 * (SCORE_BINS // 2 - 1) * (1 / sample.answered + 1 / base.answered)
    if index <= limits.drift_psi + noise:
        return []
    return [_drift_finding(sample, base, index)]


def stability_index(now: tuple[int, ...], then: tuple[int, ...]) -> float:
    """Population stability index of two histograms over ten bins; 0 for equal ones, above 0.25 a major shift."""
    total = 0.0
    pairs = list(zip(_halved(now), _halved(then), strict=True))
    size, base = sum(n for n, _ in pairs) + 0.5 * len(pairs), sum(n for _, n in pairs) + 0.5 * len(pairs)
    for a, b in pairs:
        p, q = (a + 0.5) / size, (b + 0.5) / base
        total += (p - q) * log(p / q)
    return total


def _halved(bins: tuple[int, ...]) -> list[int]:
    return [a + b for a, b in zip(bins[::2], bins[1::2], strict=True)]


def _drift_finding(sample: TrafficBucket, base: TrafficBucket, index: float) -> Finding:
    before, now = _mean(base), _mean(sample)
    new = set(sample.models) - set(base.models)
    evidence = [
        f"Over the last {sample.answered} answers the mean score is {now:.2f}; in the week before it was {before:.2f}.",
        f"{share(sample.positive / sample.answered)} say roadwork now, {share(base.positive / base.answered)} then; "
        f"stability index {index:.2f}.",
    ]
    if new:
        evidence.append(f"A model that did not answer then answers now: {', '.join(sorted(new))}.")
    return Finding(
        code="score_drift",
        severity=Severity.WARNING,
        title="the answers' scores have shifted against the last week",
        evidence=tuple(evidence),
        remedy="If the model was changed, compare it with the one before (streetvision replay). If not, the challenges "
        "have changed: look at them (streetvision log tail, streetvision mine hard) and retrain.",
        since=sample.start,
        data={"index": round(index, 3), "mean_now": round(now, 3), "mean_before": round(before, 3)},
    )


def _mean(bucket: TrafficBucket) -> float:
    return sum((i + 0.5) / SCORE_BINS * n for i, n in enumerate(bucket.scores)) / max(1, bucket.answered)


SCORE_RULES = (
    Rule(
        "one_class",
        Severity.CRITICAL,
        "All recent answers are of one class, so many that chance does not explain it",
        "Roll the model back; check its head and calibration",
        one_class,
    ),
    Rule(
        "score_drift",
        Severity.WARNING,
        "The distribution of scores has shifted against the week before",
        "Compare models by replay, or look at the new challenges and retrain",
        score_drift,
    ),
)
