"""Filters, order, figures, and reading beside a writer or without one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streetvision.base.sqlite import NewerSchema, migrate, version_of
from streetvision.errors import OperatorError
from streetvision.prediction_log.database import LogDatabase
from streetvision.prediction_log.entry import entry_of
from streetvision.prediction_log.reader import LogReader, follow
from streetvision.prediction_log.row import LogFilter, LogRow
from streetvision.prediction_log.schema import COLUMNS, DATABASE, LOG_SCHEMA, MIGRATIONS
from streetvision.prediction_log.store import QUICK_TICK_S, TICK_S, pause
from streetvision.prediction_log.upkeep import Limits

from .conftest import MakeRecord, Rig

NOW = 1_790_000_000.0


@pytest.fixture
def filled(make_rig: Callable[..., Any], make_record: MakeRecord) -> Any:
    """Sixty rows of three validators and two models, every fifth refused, images for half of them."""
    rig = make_rig(limits=Limits(max_bytes=1000))
    for n in range(60):
        image = b"%03d" % n if n % 2 else None
        probability = None if n % 5 == 0 else n / 60
        rig.log(make_record(image, probability, arrival=NOW + n, hotkey=f"5V{n % 3}", model=f"{1 + n // 30}.0.0"))
    rig.tick()
    return rig


def keeps(row: LogRow, chosen: LogFilter) -> bool:
    """The filter's meaning, said again in plain Python."""
    score = row.probability
    checks = [
        chosen.since is None or row.time >= chosen.since,
        chosen.until is None or row.time < chosen.until,
        chosen.validator is None or row.validator == chosen.validator,
        chosen.model is None or row.model_version == chosen.model,
        chosen.min_score is None or (score is not None and score >= chosen.min_score),
        chosen.max_score is None or (score is not None and score <= chosen.max_score),
        chosen.status is None or row.status == chosen.status,
        chosen.answered is None or (score is not None) == chosen.answered,
        chosen.stored is None or (row.image == "stored") == chosen.stored,
    ]
    return all(checks)


FILTERS = st.builds(
    LogFilter,
    since=st.none() | st.integers(0, 60).map(lambda n: NOW + n),
    until=st.none() | st.integers(0, 60).map(lambda n: NOW + n),
    validator=st.none() | st.sampled_from(["5V0", "5V1", "5nobody"]),
    model=st.none() | st.sampled_from(["1.0.0", "2.0.0"]),
    min_score=st.none() | st.floats(0, 1),
    max_score=st.none() | st.floats(0, 1),
    status=st.none() | st.sampled_from([200, 503]),
    answered=st.none() | st.booleans(),
    stored=st.none() | st.booleans(),
)


@given(chosen=FILTERS, after=st.integers(0, 61), limit=st.none() | st.integers(0, 61), newest=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filters_mean_what_they_say(filled: Any, chosen: LogFilter, after: int, limit: int, newest: bool) -> None:
    with LogReader(filled.folder) as reader:
        everything = list(reader.rows())
        expected = [row for row in everything if keeps(row, chosen)]
        assert reader.count(chosen) == len(expected)
        assert reader.stats(chosen).rows == len(expected)
        expected = [row for row in expected if row.id > after]
        expected = (expected[::-1] if newest else expected)[:limit]
        assert list(reader.rows(chosen, after_id=after, limit=limit, newest_first=newest)) == expected


def test_pages_join_without_a_seam(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    rig = make_rig(max_rows=3000)
    rig.log(*[make_record()] * 2500)
    while rig.writer.waiting:
        rig.tick()
    with LogReader(rig.folder) as reader:
        assert [row.id for row in reader.rows()] == list(range(1, 2501))
        assert [row.id for row in reader.rows(newest_first=True)] == list(range(2500, 0, -1))
        assert [row.id for row in reader.rows(after_id=900, limit=1200)] == list(range(901, 2101))


def test_one_row_the_last_and_their_images(filled: Any) -> None:
    with LogReader(filled.folder) as reader:
        assert reader.last_id() == 60
        row = reader.row(2)
        assert row is not None
        assert row.embedding is not None
        assert row.embedding.shape == (8,)
        path = reader.image_path(row.sha256)
        assert path is not None
        assert path.read_bytes() == b"001"
        path.unlink()
        assert reader.image_path(row.sha256) is None
        assert reader.image_path("") is None
        assert reader.row(61) is None
        assert next(reader.rows()).embedding is None


def test_figures(filled: Any) -> None:
    with LogReader(filled.folder) as reader:
        stats = reader.stats()
        nothing = reader.stats(LogFilter(validator="5nobody"))
    assert (stats.rows, stats.answered, stats.first, stats.last) == (60, 48, NOW, NOW + 59)
    assert stats.by_status == {200: 48, 503: 12}
    assert stats.by_reason == {"ok": 48, "overloaded": 12}
    assert stats.by_validator == {"5V0": 20, "5V1": 20, "5V2": 20}
    assert stats.by_model == {"1.0.0": 24, "2.0.0": 24}
    assert sum(stats.scores) == 48
    assert stats.scores[0] == 2  # 1/60 and 2/60 lie below 0.05
    assert stats.latency["inference"].p50 == pytest.approx(0.004)
    assert stats.latency["total"].highest == pytest.approx(0.0103)
    assert stats.headroom is not None
    assert stats.headroom.p1 == pytest.approx(4.5)
    assert (stats.images, stats.image_bytes) == (30, 90)
    assert (nothing.rows, nothing.answered, nothing.latency, nothing.headroom, nothing.first) == (0, 0, {}, None, None)
    assert nothing.images == 30


def test_what_was_dropped_is_remembered_over_restarts(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    for _ in range(2):
        rig = make_rig(max_rows=3)
        rig.log(*[make_record()] * 5)
        rig.tick()
        rig.tick()
        rig.writer.close()
    with LogReader(rig.folder) as reader:
        assert reader.stats().dropped_rows == {"overload": 4}


def test_a_run_that_was_killed_is_told_and_counted(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    killed = make_rig()
    killed.log(make_record())
    killed.tick()
    # As the kernel does for a dead process.
    os.close(killed.writer._database._lock)
    killed.writer._database.db.close()
    killed.writer._database = None
    for _ in range(2):
        rig = make_rig()
        rig.tick()
        rig.writer.close()
    assert sum("the last run was killed" in line for line in lines) == 1
    with LogReader(rig.folder) as reader:
        assert reader.stats().ends_killed == 1


@pytest.mark.parametrize(
    ("fresh", "behind", "giving_way", "wait"),
    [(0, False, False, QUICK_TICK_S), (10, False, False, QUICK_TICK_S), (11, False, False, TICK_S),
     (500, True, False, 0.0), (500, True, True, TICK_S)],
)  # fmt: skip
def test_few_requests_are_written_soon(fresh: int, behind: bool, giving_way: bool, wait: float) -> None:
    assert pause(fresh, behind=behind, giving_way=giving_way) == wait
    assert QUICK_TICK_S < 0.05


def test_rows_appear_while_the_writer_runs(rig: Rig, make_record: MakeRecord) -> None:
    rig.tick()
    with LogReader(rig.folder) as reader:
        assert reader.last_id() == 0
        rig.log(make_record())
        rig.tick()
        assert reader.last_id() == 1


def test_a_closed_log_is_read_where_nothing_can_be_written(rig: Rig, make_record: MakeRecord) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a folder read-only takes root")
    rig.log(make_record())
    rig.tick()
    rig.writer.close()
    if subprocess.run(["mount", "--bind", rig.folder, rig.folder], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", rig.folder], check=True)
        with LogReader(rig.folder) as reader:
            assert [row.image for row in reader.rows()] == ["stored"]
    finally:
        subprocess.run(["umount", rig.folder], check=True)


def test_reasons_not_to_read(tmp_path: Path, rig: Rig) -> None:
    with pytest.raises(OperatorError, match="there is no prediction log"):
        LogReader(tmp_path / "nowhere")
    rig.folder.mkdir()
    (rig.folder / DATABASE).touch()
    with pytest.raises(OperatorError, match="is empty"):
        LogReader(rig.folder)
    (rig.folder / DATABASE).write_bytes(b"something else" * 100)
    with pytest.raises(OperatorError, match="cannot be read"):
        LogReader(rig.folder)


def test_a_newer_log_is_refused_with_a_sentence(rig: Rig) -> None:
    rig.tick()
    rig.writer.close()
    set_version(rig.folder / DATABASE, len(MIGRATIONS) + 1)
    with pytest.raises(
        NewerSchema, match=f"the prediction log {rig.folder / DATABASE} has schema .* upgrade streetvision"
    ):
        LogReader(rig.folder)


def set_version(file: Path, version: int) -> None:
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()


def test_a_log_of_the_first_schema_is_read_as_it_is_and_brought_up_to_date_by_the_miner(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    database = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    migrate(database, replace(LOG_SCHEMA, migrations=MIGRATIONS[:1]))
    entry = entry_of(make_record(b"old"), 3)
    columns = COLUMNS[1 : COLUMNS.index("decoded")]  # later schemas added what follows
    marks = ", ".join("?" * len(columns))
    database.execute(f"INSERT INTO requests ({', '.join(columns)}) VALUES ({marks})", entry.values[: len(columns)])
    database.close()
    with LogReader(tmp_path) as reader:
        (before,) = reader.rows()
    LogDatabase(tmp_path).close()
    with LogReader(tmp_path) as reader:
        (after,) = reader.rows()
    assert before == after
    assert (after.decoded, after.probability) == (None, 0.75)


NEXT = replace(
    LOG_SCHEMA,
    migrations=(
        *MIGRATIONS,
        "ALTER TABLE requests ADD COLUMN note TEXT NOT NULL DEFAULT 'none';\nDROP INDEX requests_time;\n",
    ),
)


def test_the_next_migration_keeps_every_row(rig: Rig, make_record: MakeRecord) -> None:
    rig.log(*(make_record(b"%d" % n) for n in range(10)))
    rig.tick()
    rig.writer.close()
    database = sqlite3.connect(rig.folder / DATABASE, isolation_level=None)
    assert version_of(database) == len(MIGRATIONS)
    migrate(database, NEXT)
    migrate(database, NEXT)
    assert version_of(database) == len(NEXT.migrations)
    assert database.execute("SELECT count(*), min(note), max(probability) FROM requests").fetchone() == (
        10,
        "none",
        0.75,
    )
    with pytest.raises(NewerSchema):
        migrate(database, LOG_SCHEMA)
    database.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    migrate(database, LOG_SCHEMA)
    before = database.execute("SELECT sql FROM sqlite_master").fetchall()
    with pytest.raises(sqlite3.OperationalError):
        broken = "ALTER TABLE requests ADD COLUMN note TEXT;\nnonsense"
        migrate(database, replace(LOG_SCHEMA, migrations=(*MIGRATIONS, broken)))
    assert version_of(database) == len(MIGRATIONS)
    assert database.execute("SELECT sql FROM sqlite_master").fetchall() == before
    database.close()


def test_a_follower_goes_on_in_the_file_that_replaced_a_damaged_one(filled: Any, make_record: MakeRecord) -> None:
    folder, begun = filled.folder, list[None]()

    def steps(_: float) -> None:
        begun.append(None)
        if len(begun) == 1:
            filled.writer.close()
            for part in folder.glob(f"{DATABASE}*"):
                part.rename(folder / f"aside-{part.name}")
        elif len(begun) == 2:
            filled.log(make_record(None, 0.5, hotkey="5New"))
            filled.tick()

    reader = LogReader(folder)
    rows = follow(reader, LogFilter(), after_id=59, sleep=steps, reopen=lambda: LogReader(folder))
    assert [next(rows).validator for _ in range(2)] == ["5V2", "5New"]
    rows.close()
    assert len(begun) == 2
