"""The log's figures for people and for machines. Pure: numbers in, text or JSON values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from streetvision.prediction_log.display import local_time
from streetvision.prediction_log.formats import iso_time
from streetvision.prediction_log.stats import LogStats

BAR = 40
"""Columns of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TOP = 8
"""Validators and models shown; the JSON has all."""


def stats_report(stats: LogStats) -> str:
    """The whole text, in 80 columns."""
    lines = [*_head(stats), *_counts(stats)]
    if stats.answered:
        lines += ["", "P(roadwork) of the answers:", *_histogram(stats.scores)]
        lines += ["", *_latency(stats)]
    if stats.headroom is not None:
        low = stats.headroom
        lines += [
            "",
            f"left until the deadline: 1 % under {low.p1:.2f} s, 10 % under {low.p10:.2f} s, median {low.p50:.2f} s",
        ]
    return "\n".join([*lines, "", *_keeping(stats)])


def stats_fields(stats: LogStats) -> dict[str, Any]:
    """The figures as JSON values; `first` and `last` in ISO 8601 (UTC), durations in seconds."""
    values = asdict(stats)
    for name in ("first", "last"):
        values[name] = None if values[name] is None else iso_time(values[name])
    return values


def _head(stats: LogStats) -> Iterator[str]:
    refused = stats.rows - stats.answered
    yield f"{stats.rows:,} requests: {stats.answered:,} answered, {refused:,} refused"
    if stats.first is not None and stats.last is not None:
        style = "%Y-%m-%d %H:%M:%S"
        yield f"from {local_time(stats.first, style)} to {local_time(stats.last, style)}"


def _counts(stats: LogStats) -> Iterator[str]:
    for title, counts in (
        ("status", {f"{status}": count for status, count in stats.by_status.items()}),
        ("reason", stats.by_reason),
        ("validator", stats.by_validator),
        ("model", stats.by_model),
    ):
        if counts:
            yield ""
            yield from _table(title, counts)


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    total = sum(counts.values())
    yield f"{title:<50} {'rows':>11} {'share':>7}"
    for name, count in islice(counts.items(), _TOP):
        yield f"{name:<50} {count:>11,} {count / total:>7.1%}"
    if len(counts) > _TOP:
        yield f"and {len(counts) - _TOP} more"


def _histogram(scores: tuple[int, ...]) -> Iterator[str]:
    most = max(*scores, 1)
    for place, count in enumerate(scores):
        low, high = place / len(scores), (place + 1) / len(scores)
        yield f"{low:.2f}-{high:.2f} {_bar(count / most):<{BAR}} {count:>11,}"


def _bar(share: float) -> str:
    """A bar in eighths of a column; what is there at all shows."""
    eighths = round(share * BAR * 8) or (1 if share else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()


def _latency(stats: LogStats) -> Iterator[str]:
    yield f"{'milliseconds':<14}" + "".join(f"{name:>10}" for name in ("median", "90 %", "99 %", "highest"))
    for stage, of in stats.latency.items():
        numbers = (of.p50, of.p90, of.p99, of.highest)
        yield f"{stage:<14}" + "".join(f"{1e3 * seconds:>10.1f}" for seconds in numbers)


def _keeping(stats: LogStats) -> Iterator[str]:
    yield f"{stats.images:,} images kept, {stats.image_bytes / 2**20:,.1f} MiB"
    for what, counts in (("rows", stats.dropped_rows), ("images", stats.dropped_images)):
        if sum(counts.values()):
            causes = ", ".join(f"{count:,} {cause}" for cause, count in counts.items() if count)
            yield f"{sum(counts.values()):,} {what} were dropped since the log began: {causes}"
    if stats.ends_killed:
        yield f"{stats.ends_killed:,} runs of the miner were killed: the last moment of each may be missing"
