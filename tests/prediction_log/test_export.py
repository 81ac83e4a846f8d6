"""Exports to a folder: what is in them, what is whole, what is said when it fails."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.prediction_log import export
from streetvision.prediction_log.destinations import FolderDestination, open_destination
from streetvision.prediction_log.export import ExportOptions, export_log, export_report
from streetvision.prediction_log.formats import PARQUET_TYPES, Format, require_pyarrow
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow

from ..conftest import Logbook

JPEG, PNG, WEBP = b"\xff\xd8\xff one", b"\x89PNG\r\n\x1a\n two", b"RIFF\x00\x00\x00\x00WEBP three"
NOW = 1_800_000_000.0
without_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None and os.environ.get("STREETVISION_REQUIRE_EXTRAS") != "1",
    reason="pyarrow is not installed (extra `parquet`)",
)
FORMATS = ["jsonl", pytest.param("parquet", marks=without_pyarrow)]


@pytest.fixture
def filled(logbook: Logbook) -> Logbook:
    """Four answers for three images, and a refusal without one."""
    answers = [logbook.answer(p, model=model) for p, model in ((0.1, "1.0.0"), (0.9, "1.0.0"), (0.4, "2.0.0"))]
    images = (JPEG, PNG, WEBP)
    logbook.write(*(logbook.record(image, answer) for image, answer in zip(images, answers, strict=True)))
    logbook.write(logbook.record(JPEG, logbook.answer(0.2)), logbook.record(None))
    return logbook


def run(folder: Path, target: Path, **options: Any) -> Mapping[str, Any]:
    with LogReader(folder) as reader:
        return export_log(reader, FolderDestination(target), ExportOptions(**options), now=NOW)


def table(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return [{**row, "time": row["time"].isoformat(timespec="microseconds")} for row in rows]


@pytest.mark.parametrize("format", FORMATS)
def test_every_row_arrives_with_every_field(filled: Logbook, tmp_path: Path, format: Format) -> None:
    run(filled.folder, tmp_path / "out", format=format)
    rows = table(tmp_path / "out" / f"predictions.{format}")
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
    assert set(rows[0]) == {name for name in LogRow.__slots__ if name != "embedding"} == set(PARQUET_TYPES)
    assert [row["probability"] for row in rows] == [0.1, 0.9, 0.4, 0.2, None]
    assert rows[0]["time"] == "2026-09-21T14:13:21.000000+00:00"
    assert rows[0]["sha256"] == hashlib.sha256(JPEG).hexdigest()
    assert (rows[4]["status"], rows[4]["reason"], rows[4]["image"]) == (503, "overloaded", "none")


@without_pyarrow
def test_both_formats_hold_the_same(filled: Logbook, tmp_path: Path) -> None:
    for format in ("jsonl", "parquet"):
        run(filled.folder, tmp_path / format, format=format, images=True, embeddings=True)
    first, second = (table(tmp_path / format / f"predictions.{format}") for format in ("jsonl", "parquet"))
    assert first == second
    assert len(first[0]["embedding"]) == 8
    assert first[4]["embedding"] is None


def test_images_come_along_under_their_own_names(filled: Logbook, tmp_path: Path) -> None:
    manifest = run(filled.folder, tmp_path / "out", format="jsonl", images=True)
    rows = table(tmp_path / "out" / "predictions.jsonl")
    assert rows[4]["image_file"] is None
    assert rows[0]["image_file"] == rows[3]["image_file"]
    assert [Path(row["image_file"]).suffix for row in rows[:3]] == [".jpg", ".png", ".webp"]
    for row, data in zip(rows[:3], (JPEG, PNG, WEBP), strict=True):
        assert (tmp_path / "out" / row["image_file"]).read_bytes() == data
    assert manifest["images"] == {
        "files": 3,
        "bytes": len(JPEG + PNG + WEBP),
        "copied_now": 3,
        "rows_without": {},
    }


@pytest.mark.parametrize("format", FORMATS)
def test_the_manifest_vouches_for_the_table(filled: Logbook, tmp_path: Path, format: Format) -> None:
    manifest = run(filled.folder, tmp_path / "out", format=format, filter=LogFilter(model="1.0.0"))
    data = (tmp_path / "out" / f"predictions.{format}").read_bytes()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    assert manifest["table"] == {
        "name": f"predictions.{format}",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert (manifest["rows"], manifest["first_id"], manifest["last_id"]) == (3, 1, 4)
    assert manifest["filter"] == {"model": "1.0.0"}
    assert manifest["images"] is None


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_choice_is_an_empty_table(filled: Logbook, tmp_path: Path, format: Format) -> None:
    manifest = run(filled.folder, tmp_path / "out", format=format, images=True, filter=LogFilter(uid=99))
    assert table(tmp_path / "out" / f"predictions.{format}") == []
    assert (manifest["rows"], manifest["first_id"]) == (0, None)


def test_images_that_are_gone_or_damaged_are_counted_and_not_copied(filled: Logbook, tmp_path: Path) -> None:
    filled.image_of(1).unlink()
    filled.image_of(2).write_bytes(b"\x89PNG\r\n\x1a\n bad")
    manifest = run(filled.folder, tmp_path / "out", format="jsonl", images=True)
    assert manifest["images"]["rows_without"] == {"damaged": 1, "gone": 2}
    assert [row["image_file"] is None for row in table(tmp_path / "out" / "predictions.jsonl")] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert "3 rows without their image: 1 damaged, 2 gone" in export_report(manifest, "out")


def test_a_whole_export_is_not_replaced_unasked(filled: Logbook, tmp_path: Path) -> None:
    run(filled.folder, tmp_path / "out", format="jsonl", images=True)
    (tmp_path / "out" / "predictions.parquet").write_text("of an earlier export")
    with pytest.raises(OperatorError, match="holds an export already"):
        run(filled.folder, tmp_path / "out", format="jsonl")
    manifest = run(filled.folder, tmp_path / "out", format="jsonl", images=True, overwrite=True)
    assert manifest["images"]["copied_now"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "images",
        "manifest.json",
        "predictions.jsonl",
    ]


class Unplugged(FolderDestination):
    """A folder whose disk goes away after one image."""

    puts = 0
    parallel = 1

    def put(self, name: str, data: bytes) -> None:
        self.puts += 1
        if self.puts > 1:
            raise OperatorError("the disk went away")
        super().put(name, data)


@pytest.mark.parametrize("format", FORMATS)
def test_an_interrupted_export_leaves_nothing_half_and_goes_on(filled: Logbook, tmp_path: Path, format: Format) -> None:
    out = tmp_path / "out"
    with LogReader(filled.folder) as reader, pytest.raises(OperatorError, match="went away"):
        export_log(reader, Unplugged(out), ExportOptions(format=format, images=True), now=NOW)
    left = [path for path in out.rglob("*") if path.is_file()]
    assert len(left) == 1
    assert left[0].read_bytes() in {JPEG, PNG, WEBP}
    manifest = run(filled.folder, out, format=format, images=True)
    assert (manifest["images"]["files"], manifest["images"]["copied_now"]) == (3, 2)
    assert len(table(out / f"predictions.{format}")) == 5


KILLED = """
import os, signal, sys
from pathlib import Path
from streetvision.prediction_log.destinations import FolderDestination
from streetvision.prediction_log.export import ExportOptions, export_log
from streetvision.prediction_log.reader import LogReader

class Doomed(FolderDestination):
    parallel = 1
    def put_file(self, name, path):
        if name.startswith(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        super().put_file(name, path)

with LogReader(Path(sys.argv[1])) as reader:
    export_log(reader, Doomed(Path(sys.argv[2])), ExportOptions("jsonl", images=True), now=0.0)
"""


@pytest.mark.parametrize("moment", ["images/", "predictions", "manifest"])
def test_kill_9_leaves_nothing_half_and_the_next_run_clears_up(filled: Logbook, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(filled.folder), str(out), moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    assert (out / "predictions.jsonl").exists() == (moment == "manifest")
    assert run(filled.folder, out, format="jsonl", images=True)["images"]["files"] == 3
    assert len(table(out / "predictions.jsonl")) == 5
    assert [path for path in out.rglob(".*") if path.is_file()] == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_a_sentence_and_no_table(filled: Logbook, tmp_path: Path, format: Format) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / f".predictions.{format}.partial").symlink_to("/dev/full")
    with pytest.raises(OperatorError, match=r"the disk of .*out is full: make room"):
        run(filled.folder, out, format=format)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(filled: Logbook, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"cannot write to .*file/out: not a directory"):
        run(filled.folder, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("text", "endpoint", "says"),
    [
        ("ftp://host/x", None, "neither a folder nor an s3"),
        ("out", "http://127.0.0.1:1", "is for s3:// addresses"),
        ("s3:///prefix", None, "names a bucket"),
    ],
)
def test_destinations_that_are_none(text: str, endpoint: str | None, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        open_destination(text, endpoint_url=endpoint)


def test_the_log_is_no_place_for_its_export(filled: Logbook) -> None:
    with pytest.raises(OperatorError, match="inside the log itself"):
        open_destination(str(filled.folder / "export"), log=filled.folder)


def test_rows_logged_meanwhile_wait_for_the_next_export(filled: Logbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK_ROWS", 2)
    with LogReader(filled.folder) as reader:
        coming = export.chunks(reader, LogFilter())
        first = next(coming)
        filled.write(filled.record(JPEG, filled.answer(0.3)))
        assert [[row.id for row in rows] for rows in (first, *coming)] == [[1, 2], [3, 4], [5]]
        assert reader.last_id() == 6


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OperatorError, match=r"pip install 'streetvision\[parquet\]', or use --format jsonl"):
        require_pyarrow()
