"""Frames of segments become labelled pictures that datasets take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.sources.made import MadePictures
from streetvision.sources.source import SourcePicture
from streetvision.video.export import Exported, export
from streetvision.video.frames import AGREED_TRUST, MODEL_TRUST, Wanted, plan
from streetvision.video.opening import open_video
from streetvision.video.report import read_report

from .conftest import Scanned


def exported(scanned: Scanned, folder: Path, wanted: Wanted) -> tuple[Exported, list[SourcePicture]]:
    with open_video(scanned.path, exact=True) as reader:
        done = export(reader, scanned.record, folder, wanted)
    pictures = [one for one in MadePictures(folder).pictures() if isinstance(one, SourcePicture)]
    return done, pictures


def test_frames_are_marked_as_the_models_word(scanned: Scanned, tmp_path: Path) -> None:
    done, pictures = exported(scanned, tmp_path / "out", Wanted(outside=4, licence="own"))
    assert done.written == len(pictures) >= 10
    yes, no = ([one for one in pictures if one.label is label] for label in (True, False))
    assert len(no) == 4
    assert {one.labelled_by for one in pictures} == {"model bright-1"}
    assert {one.trust for one in pictures} == {MODEL_TRUST}
    assert len({one.group for one in pictures}) == 1
    assert {one.licence for one in pictures} == {"own"}
    assert {one.tags["segment"] for one in yes} == {"1", "2"}


def test_the_operators_word_counts_in_full(scanned: Scanned, tmp_path: Path) -> None:
    _, pictures = exported(scanned, tmp_path / "out", Wanted([2], label=False, most=1))
    ((label, trust, whose),) = {(one.label, one.trust, one.labelled_by) for one in pictures}
    assert (label, trust, whose) == (False, 1.0, "human")


def test_exporting_twice_changes_nothing(scanned: Scanned, tmp_path: Path) -> None:
    first = exported(scanned, tmp_path / "out", Wanted([1]))
    again = exported(scanned, tmp_path / "out", Wanted([1]))
    assert again == first
    both = exported(scanned, tmp_path / "out", Wanted([2]))[1]
    assert len(both) > len(first[1])


def test_near_duplicates_are_left_out(scanned: Scanned, tmp_path: Path) -> None:
    done, _ = exported(scanned, tmp_path / "out", Wanted([1], every=0.05, most=100))
    assert done.alike > 30
    assert done.written <= 61


def test_a_second_opinion_raises_trust_or_leaves_out(scanned: Scanned) -> None:
    report = read_report(scanned.record)
    one, two = ((segment.start, segment.end) for segment in report.segments)
    yes, no = {"roadwork": True, "model": "p"}, {"roadwork": False, "model": "q"}
    said = {one: [yes], two: [yes, no]}
    shots, contradicted = plan(replace(report, opinions=said), Wanted())
    assert contradicted == [2]
    assert {(shot.segment, shot.trust) for shot in shots} == {(1, AGREED_TRUST)}


def test_a_segment_that_is_not_there_is_told_of(scanned: Scanned) -> None:
    with pytest.raises(OperatorError, match="no segment 3: the scan found 2"):
        plan(read_report(scanned.record), Wanted([3]))


def test_a_broken_list_is_told_before_a_picture_is_written(scanned: Scanned, tmp_path: Path) -> None:
    (tmp_path / "made.jsonl").write_text("rubbish\n")
    with pytest.raises(OperatorError, match="no JSON object"):
        exported(scanned, tmp_path, Wanted([1]))
    assert list(tmp_path.glob("*.jpg")) == []


def test_more_frames_outside_than_there_are_takes_all(scanned: Scanned) -> None:
    shots, _ = plan(read_report(scanned.record), Wanted(outside=10**12))
    assert 5 < sum(not shot.label for shot in shots) < 100
