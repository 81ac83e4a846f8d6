"""The answers' scores are not last week's."""

from __future__ import annotations

from math import log

from streetvision.base.wording import share
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import DAY, HOUR, Thresholds
from streetvision.monitor.traffic import SCORE_BINS, TrafficBucket

_DRIFT_LONGEST_S = 6 * HOUR
_BASE_S = 7 * DAY


def score_drift(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The answers' distribution is not last week's."""
    sample = _sample(seen, limits)
    if sample is None:
        return []
    base = seen.traffic.total(sample.start - _BASE_S, sample.start)
    index = stability_index(sample.scores, base.scores)
    noise = 2 * (SCORE_BINS // 2 - 1) * (1 / sample.answered + 1 / base.answered)
    if index <= limits.drift_psi + noise:
        return []
    return [_drift_finding(sample, base, index)]


def _sample(seen: Observation, limits: Thresholds) -> TrafficBucket | None:
    """The newest answers; None when they, or those of the week before, are too few."""
    sample = seen.traffic.latest(limits.drift_answers, seen.now + 1, _DRIFT_LONGEST_S)
    before = seen.traffic.answered(sample.start - _BASE_S, sample.start)
    return sample if sample.answered >= limits.drift_answers and before >= limits.drift_base_answers else None


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


_ANSWERS = Need(
    "too few answers to compare with the week before", lambda seen, limits: _sample(seen, limits) is not None
)

RULES = (
    Rule(
        code="score_drift",
        order=810,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The distribution of scores has shifted against the week before",
        remedy="Compare models by replay, or look at the new challenges and retrain",
        judge=score_drift,
        needs=(_ANSWERS,),
        absence=proves_after_requests,
    ),
)
