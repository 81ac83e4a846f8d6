"""What is written, what is shared, what goes first, and what the files say afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streetvision.axon.wire import Dialect
from streetvision.models.router import RouterOutcome
from streetvision.prediction_log.display import row_page
from streetvision.prediction_log.formats import row_fields
from streetvision.prediction_log.row import LogRow
from streetvision.prediction_log.upkeep import Limits
from streetvision.prediction_log.writer import BATCH_ROWS

from .conftest import MakeRecord, Rig


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_row_holds_all_that_the_axon_and_the_engine_told(rig: Rig, make_record: MakeRecord) -> None:
    rig.log(make_record(b"jpeg"), make_record(b"", None, status=400, reason="bad_image", hotkey="5Bob", uid=None))
    rig.tick()
    answered, refused = rig.rows()
    vector = answered.embedding
    assert vector is not None
    np.testing.assert_allclose(vector, np.linspace(-1, 1, 8), atol=1e-3)
    assert vector.dtype == np.float16
    expected = LogRow(
        id=1, time=answered.time, validator="5Alice", uid=7, dialect=str(Dialect.LEGACY), status=200, reason="ok",
        sha256=sha(b"jpeg"), size_bytes=4, width=640, height=480, model_version="1.0.0", probability=0.75, logit=0.25,
        views=2, batch_size=3, admission_s=0.0001, body_s=0.001, decode_s=0.002, queue_s=0.003, inference_s=0.004,
        reply_s=0.0002, headroom_s=4.5, decoded=None, first_probability=None, second_probability=None, router=None,
        served_by="embedded", image="stored", embedding=vector,
    )  # fmt: skip
    assert replace(answered, embedding=None) == replace(expected, embedding=None)
    assert (refused.id, refused.status, refused.reason, refused.validator) == (2, 400, "bad_image", "5Bob")
    assert (refused.image, refused.sha256, refused.size_bytes, refused.uid) == ("none", "", 0, None)
    assert (refused.probability, refused.logit, refused.embedding) == (None, None, None)


def test_a_picture_without_its_end_says_so(rig: Rig, make_record: MakeRecord) -> None:
    whole = make_record(b"jpeg")
    assert whole.prediction is not None
    cut = replace(whole, prediction=replace(whole.prediction, decoded=0.97))
    rig.log(whole, cut)
    rig.tick()
    assert [row.decoded for row in rig.rows()] == [None, 0.97]
    assert "size         4 bytes, without its end: 97.0% of the pixels decoded" in row_page(rig.rows()[1], None)
    assert "without its end" not in row_page(rig.rows()[0], None)


def test_a_routers_answer_keeps_what_each_member_said(rig: Rig, make_record: MakeRecord) -> None:
    whole = make_record(b"jpeg")
    assert whole.prediction is not None
    sure = replace(whole.prediction, members=(2.0,), router=RouterOutcome.SURE)
    asked = replace(whole.prediction, members=(0.0, -2.0), router=RouterOutcome.ASKED)
    rig.log(*(replace(whole, prediction=one) for one in (whole.prediction, sure, asked)))
    rig.tick()
    plain, *rows = rig.rows()
    assert (plain.first_probability, plain.second_probability, plain.router) == (None, None, None)
    assert [row.router for row in rows] == ["sure", "asked"]
    assert [row.first_probability for row in rows] == pytest.approx([0.8808, 0.5], abs=1e-4)
    assert [row.second_probability for row in rows] == [None, pytest.approx(0.1192, abs=1e-4)]
    assert "second       0.119202922" in row_page(rows[1], None)
    assert "router       asked" in row_page(rows[1], None)
    assert "router" not in row_page(plain, None)


def test_a_row_says_who_computed_the_answer(rig: Rig, make_record: MakeRecord) -> None:
    whole = make_record(b"jpeg")
    assert whole.prediction is not None
    far = replace(whole, prediction=replace(whole.prediction, served_by="ray"))
    rig.log(whole, far, make_record(b"", None, status=400, reason="bad_image"))
    rig.tick()
    rows = rig.rows()
    assert [row.served_by for row in rows] == ["embedded", "ray", None]
    assert "served by    ray" in row_page(rows[1], None)
    assert row_fields(rows[1])["served_by"] == "ray"


def test_the_same_image_is_stored_once_as_received(rig: Rig, make_record: MakeRecord) -> None:
    rig.log(*(make_record(b"same") for _ in range(3)))
    rig.tick()
    rig.log(make_record(b"same"), make_record(b"other"))
    rig.tick()
    assert rig.files() == {sha(b"same"), sha(b"other")}
    assert rig.writer.stored_bytes == 9
    assert [row.image for row in rig.rows()] == ["stored"] * 5
    path = rig.folder / "images" / sha(b"same")[:2] / sha(b"same")[2:4] / sha(b"same")
    assert path.read_bytes() == b"same"


def test_the_most_uncertain_images_stay_longest_and_among_equals_the_newest(
    make_rig: Callable[..., Any], make_record: MakeRecord
) -> None:
    rig = make_rig(limits=Limits(max_bytes=300))
    scores = {"sure": 0.99, "unsure": 0.52, "old": 0.7, "new": 0.7, "unanswered": None}
    for moment, (name, score) in enumerate(scores.items()):
        rig.log(make_record(name.encode().ljust(100), score, arrival=rig.wall + moment))
    rig.tick()
    assert rig.files() == {sha(name.encode().ljust(100)) for name in ("unsure", "old", "new")}
    assert [row.image for row in rig.rows()] == ["evicted", "stored", "stored", "stored", "evicted"]
    rig.log(make_record(b"closest".ljust(100), 0.5, arrival=rig.wall + 9))
    rig.tick()
    assert rig.files() == {sha(name.encode().ljust(100)) for name in ("unsure", "new", "closest")}
    assert rig.writer.stored_bytes == 300
    assert rig.sample("images_evicted_total") == 3


def test_a_second_answer_that_is_less_certain_keeps_the_image(
    make_rig: Callable[..., Any], make_record: MakeRecord
) -> None:
    rig = make_rig(limits=Limits(max_bytes=200))
    rig.log(make_record(b"a" * 100, 0.99), make_record(b"a" * 100, 0.51), make_record(b"b" * 100, 0.8))
    rig.tick()
    rig.log(make_record(b"c" * 100, 0.7))
    rig.tick()
    assert rig.files() == {sha(b"a" * 100), sha(b"c" * 100)}


def test_an_evicted_image_that_comes_again_is_stored_again(
    make_rig: Callable[..., Any], make_record: MakeRecord
) -> None:
    rig = make_rig(limits=Limits(max_bytes=100))
    rig.log(make_record(b"a" * 100, 0.9), make_record(b"b" * 100, 0.6))
    rig.tick()
    assert [row.image for row in rig.rows()] == ["evicted", "stored"]
    rig.log(make_record(b"a" * 100, 0.55))
    rig.tick()
    assert [row.image for row in rig.rows()] == ["stored", "evicted", "stored"]


HOUR = 3600.0
DAY = 24 * HOUR


def test_nothing_older_than_the_age_limit_stays(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    rig = make_rig(limits=Limits(max_days=1.0))
    rig.log(make_record(b"old", 0.5), make_record(b"sent twice"), make_record(b"new", arrival=rig.wall + 23 * HOUR))
    rig.tick()
    rig.log(make_record(b"sent twice", arrival=rig.wall + 20 * HOUR))
    rig.passes(27)
    assert [row.id for row in rig.rows()] == [3, 4]
    assert rig.files() == {sha(b"new"), sha(b"sent twice")}
    rig.passes(365 * 24, step=90 * 24)
    assert rig.rows() == []
    assert rig.files() == set()
    assert rig.writer.stored_bytes == 0
    rig.log(make_record(b"after", arrival=rig.wall))
    rig.tick()
    assert [row.id for row in rig.rows()] == [5]  # an id is never used twice


@pytest.mark.parametrize("days", [120, 36500, -120, -20000])
def test_a_clock_that_jumps_makes_nothing_old(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str], days: float
) -> None:
    rig = make_rig()
    rig.log(*(make_record(name.encode(), arrival=rig.wall - 89 * DAY) for name in "abc"))
    rig.log(*(make_record(name.encode(), arrival=rig.wall) for name in "def"))
    rig.tick()
    files = rig.files()
    rig.wall += days * DAY
    rig.passes(12)
    assert (len(rig.rows()), rig.files()) == (6, files)
    assert sum("days ahead of the newest" in line or "days behind the newest" in line for line in lines) == 1


def test_a_restart_with_a_wrong_clock_makes_nothing_old(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    first = make_rig()
    first.log(make_record(b"a"), make_record(b"b"))
    first.tick()
    first.writer.close()
    for wall in (0.0, 4_070_908_800.0):  # 1970 and 2099
        rig = make_rig(wall=wall)
        rig.passes(48)
        assert [row.image for row in rig.rows()] == ["stored", "stored"]
        rig.writer.close()


def test_one_request_from_the_future_removes_a_part_of_the_log_at_most(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    rig = make_rig()
    rig.log(*(make_record(b"%d" % number) for number in range(240)))
    rig.tick()
    rig.wall += 120 * DAY
    rig.log(make_record(b"late", arrival=rig.wall))
    for _ in range(20):
        rig.tick()
    assert len(rig.rows()) == 231
    assert len(rig.files()) == 231
    assert sum("a 24th of the log an hour" in line for line in lines) == 1
    rig.passes(1)
    assert len(rig.rows()) == 222  # it goes on, hour by hour


def test_rows_from_before_a_wrong_clock_outlive_it(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    """The clock stood in 1970 for a while: those rows go, the others stay."""
    rig = make_rig()
    rig.log(make_record(b"before"), make_record(b"wrong", arrival=1000.0), make_record(b"after", arrival=rig.wall + 9))
    rig.tick()
    rig.passes(3)
    assert [row.id for row in rig.rows()] == [1, 3]


def test_opening_finds_what_vanished_what_is_damaged_and_what_nobody_knows(
    make_rig: Callable[..., Any], make_record: MakeRecord, lines: list[str]
) -> None:
    first = make_rig()
    first.log(*(make_record(name) for name in (b"kept", b"vanished", b"shortened")))
    first.tick()
    first.writer.close()
    images = first.folder / "images"
    (images / "tmp" / "half-written").write_bytes(b"x")
    place = {
        name: images / sha(name)[:2] / sha(name)[2:4] / sha(name)
        for name in (b"vanished", b"shortened", b"new", b"torn")
    }
    place[b"vanished"].unlink()
    place[b"shortened"].write_bytes(b"short")
    place[b"new"].parent.mkdir(parents=True)
    place[b"new"].write_bytes(b"new")
    place[b"torn"].parent.mkdir(parents=True)
    place[b"torn"].write_bytes(b"to")
    again = make_rig()
    check_everything(again)
    assert [row.image for row in again.rows()] == ["stored", "evicted", "evicted"]
    assert again.files() == {sha(b"kept"), sha(b"new")}
    assert again.writer.stored_bytes == len(b"kept") + len(b"new")
    assert any("missing or damaged" in line for line in lines)


def check_everything(rig: Rig) -> None:
    for _ in range(300):
        rig.tick()


def test_a_file_whose_eviction_was_cut_short_is_removed(make_rig: Callable[..., Any], make_record: MakeRecord) -> None:
    first = make_rig()
    first.log(make_record(b"gone"))
    first.tick()
    first.writer.close()
    import sqlite3

    with sqlite3.connect(first.folder / "predictions.sqlite") as database:
        database.execute("UPDATE images SET state = 'evicted'")
    database.close()
    again = make_rig()
    check_everything(again)
    assert again.files() == set()
    assert [row.image for row in again.rows()] == ["evicted"]


def test_embeddings_beyond_half_precision_are_cut(rig: Rig, make_record: MakeRecord) -> None:
    from dataclasses import replace

    one = make_record()
    assert one.prediction is not None
    wild = replace(one.prediction, embedding=np.array([1e9, -1e9, 0.5], np.float32))
    rig.log(replace(one, prediction=wild))
    rig.tick()
    embedding = rig.rows()[0].embedding
    assert embedding is not None
    assert embedding.tolist() == [65504.0, -65504.0, 0.5]


@pytest.mark.parametrize("count", [1, 999, 1000, 2501])
def test_everything_that_waits_is_written_batch_by_batch(
    make_rig: Callable[..., Any], make_record: MakeRecord, count: int
) -> None:
    rig = make_rig(max_rows=5000)
    one = make_record()
    rig.log(*[one] * count)
    for _ in range(1 + count // BATCH_ROWS):
        rig.tick()
    assert len(rig.rows()) == count
    assert rig.sample("rows_total") == count
    assert len(rig.write_queue) == rig.write_queue.held_bytes == 0
