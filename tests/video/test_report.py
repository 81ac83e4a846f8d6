"""What was found, for people, as JSON and as a page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np

from streetvision.video.charts import MOST_POINTS, timeline
from streetvision.video.page import render_video
from streetvision.video.report import read_report, report_fields, report_text

from .conftest import Scanned


def test_lines_for_a_terminal(scanned: Scanned) -> None:
    lines = report_text(read_report(scanned.record)).splitlines()
    assert lines[0].startswith(f"{scanned.path}: 2 segments with roadwork in 0:30")
    assert re.search(r"1 +0:0[56]\.\d to 0:1[12]\.\d ", lines[1])
    assert len(lines) == 3


def test_plain_values(scanned: Scanned) -> None:
    report = read_report(scanned.record)
    fields = json.loads(json.dumps(report_fields(report, samples=True)))
    assert len(fields["samples"]) == fields["frames"] > 50
    assert [one["frames"] for one in fields["segments"]] == [one.frames for one in report.segments]
    assert "samples" not in report_fields(report, samples=False)


def test_the_page_needs_nothing_else_and_trusts_nobody(scanned: Scanned) -> None:
    report = read_report(scanned.record)
    first = report.segments[0]
    bad = "<script>alert(1)</script>"
    opinion = {"roadwork": False, "certainty": 0.75, "reason": bad, "model": "us.twelvelabs.pegasus-1-5"}
    told = replace(report, uri=f"/v/{bad}.mp4", damage=[bad], opinions={(first.start, first.end): [opinion]})
    page = render_video(told, 0.0)
    assert "<script" not in page
    assert page.count("data:image/jpeg;base64,") == len(report.thumbnails) > 0
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "Pegasus says no roadwork (75% sure)" in page
    assert "0:3" in page


def test_a_long_video_stays_a_small_page_and_loses_no_peak() -> None:
    times = np.arange(0.0, 36_000.0, 0.5)
    values = np.full(len(times), 0.1)
    values[50_001] = 0.987
    drawn = timeline(times, values, values, [], 36_000.0)
    assert len(drawn) < 8 * 20 * MOST_POINTS
    top = min(float(y) for y in re.findall(r"L[\d.]+ ([\d.]+)", drawn))
    assert top < 20.0
    assert "10:00:00" in drawn
