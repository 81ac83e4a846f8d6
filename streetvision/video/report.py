"""What was found in a video, for people and as plain values; the page draws from the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from streetvision.base.log_text import joined
from streetvision.base.wording import plural, share
from streetvision.errors import OperatorError
from streetvision.video.clock import exact, hms
from streetvision.video.record import Record
from streetvision.video.scanning import damage_of
from streetvision.video.smoothing import Segment, Series, Smoothing, probabilities, smooth


@dataclass(frozen=True)
class VideoReport:
    """One scanned video."""

    uri: str
    model: str
    seconds: float
    facts: Mapping[str, Any]
    """Size, codec and so on, as VideoFacts."""
    counts: Mapping[str, int]
    """Frames decoded, and passed over as the same."""
    times: Series
    raw: Series
    """P(roadwork) of single frames [N]."""
    smoothed: Series
    """P(roadwork) over time [N]."""
    segments: Sequence[Segment]
    damage: Sequence[str] = ()
    """What could not be read; sentences without a full stop."""
    opinions: Mapping[tuple[float, float], Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """What other models said of a segment, by its start and end."""
    thumbnails: Mapping[float, bytes] = field(default_factory=dict)
    """JPEGs by time."""

    def said_of(self, segment: Segment) -> Sequence[Mapping[str, Any]]:
        """The opinions on a segment."""
        return self.opinions.get((segment.start, segment.end), ())

    @property
    def covered(self) -> float:
        """Seconds in segments."""
        return sum(one.end - one.start for one in self.segments)


_JUDGES = ("Pegasus", "Marengo")
"""Names of models by what their ids hold."""


def numbered(segments: Sequence[Segment], numbers: Sequence[int]) -> dict[int, Segment]:
    """Segments by the numbers that reports print, from 1: these, or all; OperatorError for one that is not there."""
    for number in numbers:
        if not 1 <= number <= len(segments):
            raise OperatorError(f"there is no segment {number}: the scan found {len(segments)}.")
    return {number: segments[number - 1] for number in sorted(set(numbers)) or range(1, len(segments) + 1)}


def read_report(record: Record) -> VideoReport:
    """From a record whose scan is complete."""
    times, logits = record.series()
    facts = record.fact("video") or {}
    return VideoReport(
        uri=record.fact("identity")["uri"],
        model=record.fact("how")["model"],
        seconds=record.seconds,
        facts=facts,
        counts=(record.fact("state") or {}).get("counts", {}),
        times=times,
        raw=probabilities(logits),
        smoothed=smooth(times, logits, Smoothing(**record.fact("smoothing"))),
        segments=record.segments(),
        damage=damage_of(record).sentences(),
        opinions=record.opinions(),
        thumbnails=record.thumbnails(),
    )


def report_text(report: VideoReport) -> str:
    """Lines for a terminal."""
    return joined(_lines(report))


def _lines(report: VideoReport) -> Iterator[str]:
    found = plural(len(report.segments), "segment")
    within = f", {share(report.covered / report.seconds)} of the time" if report.segments and report.seconds else ""
    answered = f"{len(report.times):,} frames answered by {report.model}"
    yield f"{report.uri}: {found} with roadwork in {hms(report.seconds)}{within}; {answered}"
    for place, one in enumerate(report.segments, start=1):
        line = f"  {place:>3}  {exact(one.start):>9} to {exact(one.end):<9} P {one.mean:.2f} on average, "
        line += f"{one.highest:.2f} at {hms(one.peak)}"
        yield "; ".join([line, *map(opinion_words, report.said_of(one))])
    for sentence in report.damage:
        yield f"  note: {sentence}"


def opinion_words(opinion: Mapping[str, Any]) -> str:
    """What another model said, in a clause."""
    verdict = "roadwork" if opinion.get("roadwork") else "no roadwork"
    certainty = opinion.get("certainty")
    sure = f" ({certainty:.0%} sure)" if isinstance(certainty, int | float) else ""
    reason = f": {opinion['reason']}" if opinion.get("reason") else ""
    name = next((name for name in _JUDGES if name.lower() in opinion["model"]), opinion["model"])
    return f"{name} says {verdict}{sure}{reason}"


def report_fields(report: VideoReport, *, samples: bool) -> dict[str, Any]:
    """Plain values; `samples` adds every frame."""
    fields: dict[str, Any] = {
        "kind": "video",
        "video": report.uri,
        "model": report.model,
        "seconds": round(report.seconds, 3),
        "frames": len(report.times),
        **report.counts,
        "facts": dict(report.facts),
        "segments": [_segment_fields(report, one) for one in report.segments],
        "damage": list(report.damage),
    }
    if samples:
        columns = zip(report.times, report.raw, report.smoothed, strict=True)
        fields["samples"] = [
            {"time": round(float(t), 3), "probability": round(float(p), 6), "smoothed": round(float(s), 6)}
            for t, p, s in columns
        ]
    return fields


def _segment_fields(report: VideoReport, segment: Segment) -> dict[str, Any]:
    fields = {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(segment).items()}
    said = report.said_of(segment)
    return {**fields, "opinions": [dict(one) for one in said]} if said else fields
