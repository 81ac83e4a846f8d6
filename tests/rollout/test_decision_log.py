"""The journal and the blocklist: what is written survives crashes, full disks and restarts, and stays small."""

from __future__ import annotations

import json
import logging
import os
import resource
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from streetvision.rollout.blocklist import BlockedVersion, Blocklist
from streetvision.rollout.decision_log import DecisionLog
from streetvision.rollout.journal import Journal


def journal(folder: Path, **options: int) -> Journal:
    return Journal(folder / "models" / "decisions.jsonl", now=lambda: 1_800_000_000.25, **options)


def test_a_decision_is_one_line_of_json(tmp_path: Path) -> None:
    written = journal(tmp_path).write("rollback", "1.1.0", "it is sick", by="health", evidence=["a", "b"])
    line = (tmp_path / "models" / "decisions.jsonl").read_text()
    assert json.loads(line) == written
    assert line.endswith("}\n")
    assert written["at"] == "2027-01-15T08:00:00.250+00:00"


def test_the_newest_are_read_back_in_order_across_both_halves(tmp_path: Path) -> None:
    small = journal(tmp_path, max_bytes=400)
    for number in range(20):
        small.write("swap", f"1.{number}.0", "by hand")
        assert sum(path.stat().st_size for path in small.path.parent.iterdir()) < 1100
    assert [entry["version"] for entry in small.tail(4)] == ["1.16.0", "1.17.0", "1.18.0", "1.19.0"]


def test_a_torn_line_is_skipped_and_not_continued(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    decisions = journal(tmp_path)
    decisions.write("swap", "1.1.0", "by hand")
    with decisions.path.open("ab") as file:
        file.write(b'{"at": "2027-01-15T08:00')
    decisions.write("swap", "1.2.0", "by hand")
    assert [entry["version"] for entry in decisions.tail(9)] == ["1.1.0", "1.2.0"]
    assert "1 damaged lines" in caplog.text


def test_a_disk_that_takes_a_part_of_a_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decisions, write = journal(tmp_path), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    decisions.write("swap", "1.1.0", "by hand")
    before = decisions.path.read_bytes()
    monkeypatch.setattr(os, "write", write)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        decisions.write("swap", "1.2.0", "by hand")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be written" in caplog.text
    assert decisions.path.read_bytes() == before
    decisions.write("swap", "1.3.0", "by hand")
    assert [entry["version"] for entry in decisions.tail(9)] == ["1.1.0", "1.3.0"]
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("rubbish", [b"[1]\n", b"\xff\xfe\n", b"null\n", b"\n\n"])
def test_lines_that_are_no_decisions_are_skipped(tmp_path: Path, rubbish: bytes) -> None:
    decisions = journal(tmp_path)
    decisions.write("swap", "1.1.0", "by hand")
    with decisions.path.open("ab") as file:
        file.write(rubbish)
    assert len(decisions.tail(9)) == 1


def test_absurdly_long_evidence_is_left_out(tmp_path: Path) -> None:
    decisions = journal(tmp_path)
    decisions.write("swap", "1.1.0", "by hand", evidence=["x" * 100_000])
    (entry,) = decisions.tail(1)
    assert entry["shortened"] is True
    assert decisions.path.stat().st_size < 2000


def test_a_disk_that_fails_stops_no_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    entry = journal(tmp_path).write("rollback", "1.1.0", "it is sick")
    assert entry["event"] == "rollback"
    assert "could not be written" in caplog.text


def test_an_empty_journal_has_no_tail(tmp_path: Path) -> None:
    assert journal(tmp_path).tail(5) == []


def test_marks_survive_and_belong_to_content(tmp_path: Path) -> None:
    blocklist = Blocklist(tmp_path / "bad.json")
    blocklist.put("1.1.0", BlockedVersion("it is sick", "2027-01-15T08:00:00+00:00", "a" * 64))
    again = Blocklist(tmp_path / "bad.json")
    assert again.get("1.1.0", "a" * 64) == BlockedVersion("it is sick", "2027-01-15T08:00:00+00:00", "a" * 64)
    assert again.get("1.1.0", "b" * 64) is None
    assert again.get("1.2.0", "a" * 64) is None
    again.clear("1.1.0")
    again.clear("1.1.0")
    assert Blocklist(tmp_path / "bad.json").all() == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"1.0.0": 3}', '{"1.0.0": {"why": "x"}}', "\x00"])
def test_damaged_marks_are_set_aside_and_said(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """The miner must not stay down for the sake of an old blocklist."""
    (tmp_path / "bad.json").write_text(text)
    blocklist = Blocklist(tmp_path / "bad.json")
    assert blocklist.all() == {}
    assert "is damaged" in caplog.text
    assert (tmp_path / "bad.json").read_text() == text  # whoever only reads changes nothing
    blocklist.put("1.1.0", BlockedVersion("it is sick", "2027-01-15T08:00:00+00:00", "a" * 64))
    assert set(Blocklist(tmp_path / "bad.json").all()) == {"1.1.0"}
    assert (tmp_path / "bad.json.damaged").read_text() == text


def test_marks_of_an_earlier_release_count_as_sickness(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"1.0.0": {"why": "rolled back by hand", "at": "", "sha256": "a"}}')
    assert Blocklist(tmp_path / "bad.json").get("1.0.0", "a") == BlockedVersion("rolled back by hand", "", "a", by="")


def test_a_journal_that_cannot_be_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "models" / "decisions.jsonl").mkdir(parents=True)
    assert journal(tmp_path).tail(3) == []
    assert "cannot be read" in caplog.text


async def test_books_remember_the_newest_decisions_over_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    decision_log = DecisionLog(tmp_path, CollectorRegistry())
    for number in range(25):
        await decision_log.note("swap", f"1.{number}.0", "by hand", by="operator")
    assert len(decision_log.recent) == 20
    again = DecisionLog(tmp_path, CollectorRegistry())
    assert again.recent == decision_log.recent
    assert "models: swap 1.24.0 by operator: by hand" in caplog.text
