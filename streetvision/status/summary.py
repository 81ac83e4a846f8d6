"""Sums over the newest requests: stages, time to spare, batches, views, and a row for each validator. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import dropwhile
from statistics import fmean, median

import numpy as np

from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import HEADROOM_EDGES, LATENCY_EDGES
from streetvision.status.samples import MOST, Sample
from streetvision.status.schema import STAGES, CountedPart, Headroom, Quantiles, TrafficPart, ValidatorRow

MOST_ROWS = 64
"""Validators shown: more than a subnet permits."""


def traffic_part(samples: Sequence[Sample], now: float, listening_since: float | None) -> TrafficPart:
    """Of the last hour; of less when the process is younger, or when more requests came than are remembered."""
    window = HOUR
    if listening_since is not None and not (samples and samples[0].time < listening_since):
        window = min(window, max(1.0, now - listening_since))
    if len(samples) >= MOST:
        window = min(window, max(1.0, now - samples[0].time))
    recent = _since(samples, now - window)
    answers = [sample for sample in recent if sample.probability is not None]
    return {
        "window": window,
        "requests": len(recent),
        "answered": len(answers),
        "failed": _counts(s.reason for s in recent if s.probability is None),
        "per_minute": len(recent) * 60 / window,
        "stages": _stages(answers),
        "headroom": _headroom(answers),
        "batches": _numbered(s.batch for s in answers),
        "views": _numbered(s.views for s in answers),
        "incomplete": sum(s.incomplete for s in answers),
    }


def _since(samples: Iterable[Sample], since: float) -> list[Sample]:
    return list(dropwhile(lambda sample: sample.time < since, samples))


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _numbered(numbers: Iterable[int]) -> dict[str, int]:
    return {str(number): count for number, count in sorted(Counter(numbers).items())}


def _stages(answers: Sequence[Sample]) -> dict[str, Quantiles]:
    if not answers:
        return {}
    table = np.array([[getattr(sample, stage) for stage in STAGES] for sample in answers])
    low, high = np.percentile(table, [50, 99], axis=0)
    return {stage: {"p50": float(low[i]), "p99": float(high[i])} for i, stage in enumerate(STAGES)}


def _headroom(answers: Sequence[Sample]) -> Headroom | None:
    known = [sample.headroom for sample in answers if sample.headroom is not None]
    if not known:
        return None
    low, middle = np.percentile(known, [1, 50])
    return {"p1": float(low), "p50": float(middle)}


def counted_part(seen: Observation, days: float) -> CountedPart:
    """The last days as the monitor counted them."""
    day = seen.traffic.total(seen.now - days * DAY, seen.now + 1)
    return {
        "span": days * DAY,
        "requests": day.requests,
        "answered": day.answered,
        "positive": day.positive,
        "failed": dict(day.failed),
        "rejected": dict(day.rejected),
        "scores": list(day.scores),
        "latency": {"edges": list(LATENCY_EDGES), "counts": list(day.latency)},
        "headroom": {"edges": list(HEADROOM_EDGES), "counts": list(day.headroom)},
    }


def validator_rows(samples: Sequence[Sample], seen: Observation, days: float) -> list[ValidatorRow]:
    """Everybody who asked within so many days, and every validator with stake whether it asked or not."""
    asked: dict[str, list[Sample]] = {validator.hotkey: [] for validator in seen.validators}
    for sample in _since(samples, seen.now - days * DAY):
        asked.setdefault(sample.hotkey, []).append(sample)
    rows = [_row(hotkey, of, seen) for hotkey, of in asked.items()]
    return sorted(rows, key=lambda row: (-(row["stake"] or 0.0), -row["requests"], row["hotkey"]))[:MOST_ROWS]


def _row(hotkey: str, samples: Sequence[Sample], seen: Observation) -> ValidatorRow:
    view = next((validator for validator in seen.validators if validator.hotkey == hotkey), None)
    answers = [sample for sample in samples if sample.probability is not None]
    block = seen.latest.block if seen.latest is not None else None
    return {
        "uid": view.uid if view is not None else samples[-1].uid if samples else None,
        "hotkey": hotkey,
        "stake": None if view is None else view.stake,
        "weights_age": None if view is None or block is None else max(0, block - view.last_update),
        "requests": len(samples),
        "answered": len(answers),
        "errors": len(samples) - len(answers),
        "latency": median(sample.total for sample in answers) if answers else None,
        "last_seen": samples[-1].time if samples else seen.traffic.seen.get(hotkey),
        "score": fmean(s.probability for s in answers if s.probability is not None) if answers else None,
    }
