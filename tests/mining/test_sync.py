"""The log's import: every image once, again and again, whatever happens between."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.mining import sync as sync_room
from streetvision.mining.dataset import create_dataset, open_dataset, place_of, remember
from streetvision.mining.merging import merge
from streetvision.models.router import RouterOutcome
from streetvision.prediction_log.database import LogDatabase
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.upkeep import Limits, Upkeep

from .conftest import LogWriter, Mine

Jpeg = Callable[[int], bytes]


def contents(dataset: Any) -> list[dict[str, Any]]:
    """Every sample's fields in the order of digests, without what the database adds."""
    rows = []
    for sample in dataset.sort_by("sha256"):
        fields = sample.to_dict()
        for name in ("created_at", "last_modified_at", "_dataset_id", "_id", "id"):
            fields.pop(name, None)
        fields["prediction"] = [sample["prediction"].label, sample["prediction"]["request"]]
        fields["predictions"] = sorted((p["model"], p["request"]) for p in sample["predictions"].classifications)
        rows.append(fields)
    return rows


def test_a_row_becomes_a_sample_with_everything(mine: Mine, jpeg: Jpeg) -> None:
    vector = np.linspace(-1, 1, 16, dtype=np.float32)
    mine.writer.write(mine.writer.answered(jpeg(1), 1.5, embedding=vector))
    report = mine.sync()
    assert (report.rows, report.added, report.updated, report.without_image) == (1, 1, 0, 0)
    sample = mine.sample()
    assert Path(sample.filepath).read_bytes() == jpeg(1)
    assert sample.media_type == "image"
    assert sample["prediction"].label == "roadwork"
    assert sample["prediction"].confidence == pytest.approx(1 / (1 + np.exp(-1.5)))
    np.testing.assert_allclose(sample["prediction"].logits, [0.0, 1.5])
    assert sample["prediction"]["model"] == "one"
    assert sample["probability"] == pytest.approx(sample["prediction"].confidence)
    np.testing.assert_allclose(sample["embedding"], vector.astype(np.float16))
    assert sample["embedding_model"] == "one"
    assert (sample["asked"], sample["status"], sample["status_reason"]) == (1, 200, "ok")
    assert sample["size_bytes"] == len(jpeg(1))
    assert (sample["width"], sample["height"]) == (224, 224)
    assert sample["queue_s"] == pytest.approx(0.002)
    assert sample["headroom_s"] == pytest.approx(4.0)
    assert sample["first_seen"].timestamp() == pytest.approx(sample["last_seen"].timestamp())


def test_one_image_asked_often_is_one_sample(mine: Mine, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(writer.answered(jpeg(1), -1.0), writer.answered(jpeg(1), -2.0, hotkey="5Other"))
    mine.sync()
    writer.write(writer.answered(jpeg(1), 3.0, model="two"))
    assert mine.sync().updated == 1
    assert len(mine.dataset) == 1
    sample = mine.sample()
    assert sample["asked"] == 3
    assert len(sample["validators"]) == 2
    assert {p["model"]: p.logits[1] for p in sample["predictions"].classifications} == {"one": -2.0, "two": 3.0}
    assert (sample["prediction"].label, sample["model_version"]) == ("roadwork", "two")
    assert sample["last_seen"] > sample["first_seen"]


def test_nothing_new_changes_nothing(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(*(mine.writer.answered(jpeg(i), i - 2.0) for i in range(5)))
    mine.sync()
    before = contents(mine.dataset)
    report = mine.sync()
    assert (report.rows, report.added, report.updated, report.last_id) == (0, 0, 0, 5)
    assert contents(mine.dataset) == before


@pytest.mark.parametrize("survived", [1, 2, 3])
def test_a_sync_cut_off_between_batch_and_place_goes_on_without_doubles(
    mine: Mine, jpeg: Jpeg, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """The process dies after a batch was saved and before its place was: the worst moment."""
    numbers = [0, 1, 2, 1, 0, 3, 4, 4]
    mine.writer.write(*(mine.writer.answered(jpeg(n), float(i)) for i, n in enumerate(numbers)))
    calls = 0

    def dying(dataset: Any, place: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == survived:
            raise KeyboardInterrupt
        remember(dataset, place)

    with monkeypatch.context() as patch:
        patch.setattr(sync_room, "remember", dying)
        with pytest.raises(KeyboardInterrupt):
            mine.sync(batch=2)
    mine.sync(batch=2)
    interrupted = contents(mine.dataset)
    whole = create_dataset(mine.fo, f"{mine.dataset.name}-whole", mine.writer.folder)
    try:
        Mine(mine.fo, whole, mine.writer, mine.state).sync()
        assert interrupted == contents(whole)
    finally:
        whole.delete()


def test_labels_survive_later_syncs(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)))
    mine.sync()
    sample = mine.sample()
    sample.tags.append("roadwork")
    sample["ground_truth"] = mine.fo.Classification(label="none")
    sample.save()
    mine.writer.write(mine.writer.answered(jpeg(1), 4.0))
    mine.sync()
    sample.reload()
    assert sample.tags == ["roadwork"]
    assert sample["ground_truth"].label == "none"
    assert sample["prediction"].logits[1] == 4.0


def test_rows_without_an_image_are_counted(mine: Mine, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(writer.refused(None), writer.refused(jpeg(1)), writer.refused(b"no picture", reason="bad_image"))
    report = mine.sync()
    assert (report.rows, report.added, report.without_image) == (3, 2, 1)
    assert mine.dataset.match(mine.fo.ViewField("prediction") == None).count() == 2  # noqa: E711


def evict(writer: LogWriter) -> None:
    database = LogDatabase(writer.folder)
    try:
        assert Upkeep(database, Limits(max_bytes=0)).make_room() > 0
    finally:
        database.close()


def test_an_evicted_image_is_marked_and_comes_back_when_sent_again(mine: Mine, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(writer.answered(jpeg(1)), writer.answered(jpeg(2)))
    mine.sync()
    evict(writer)
    report = mine.sync()
    assert report.evicted == 2
    assert mine.dataset.distinct("image") == ["evicted"]
    assert mine.sync().evicted == 0
    writer.write(writer.answered(jpeg(2)), writer.answered(jpeg(3)))
    mine.sync()
    assert Counter(mine.dataset.values("image")) == {"stored": 2, "evicted": 1}


def test_images_evicted_before_their_first_sync_are_left_out(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)))
    evict(mine.writer)
    report = mine.sync()
    assert (report.added, report.without_image) == (0, 1)
    assert len(mine.dataset) == 0


def test_a_pinned_picture_outlives_eviction(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)), mine.writer.answered(jpeg(2)))
    mine.sync()
    sample = mine.sample()
    assert mine.pictures.pin(Path(sample.filepath))
    assert mine.pictures.pin(Path(sample.filepath))
    evict(mine.writer)
    assert mine.sync().evicted == 1
    assert Path(sample.filepath).read_bytes() == jpeg(1)
    assert not mine.pictures.pin(Path(mine.sample(1).filepath))


def test_a_log_started_anew_is_imported_from_its_start(mine: Mine, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(writer.answered(jpeg(1)), writer.answered(jpeg(2)))
    mine.sync()
    for file in writer.folder.glob("predictions.sqlite*"):
        file.unlink()
    writer.write(writer.answered(jpeg(1)), writer.answered(jpeg(3)), writer.answered(jpeg(4)))
    report = mine.sync()
    assert report.started_anew
    assert (report.added, report.updated) == (2, 1)
    assert sorted(mine.dataset.values("asked")) == [1, 1, 1, 2]
    assert not mine.sync().started_anew


def test_rows_that_aged_out_do_not_look_like_a_new_log(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)))
    mine.sync()
    with sqlite3.connect(mine.writer.folder / "predictions.sqlite") as db:
        db.execute("DELETE FROM requests")
    db.close()
    assert not mine.sync().started_anew
    mine.writer.write(mine.writer.answered(jpeg(2)))
    report = mine.sync()
    assert (report.started_anew, report.rows, report.last_id) == (False, 1, 2)


def test_an_embedding_that_is_not_finite_is_left_out(mine: Mine, jpeg: Jpeg) -> None:
    vector = np.full(16, np.nan, np.float32)
    mine.writer.write(mine.writer.answered(jpeg(1), embedding=vector))
    mine.sync()
    assert mine.sample()["embedding"] is None


def test_progress_hears_of_every_row(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(*(mine.writer.answered(jpeg(i)) for i in range(5)))
    heard: list[int] = []
    mine.sync(batch=2, progress=heard.append)
    assert heard == [2, 2, 1]


def test_a_second_sync_beside_the_first_is_refused(tmp_path: Path) -> None:
    with only_one(tmp_path, "sync"), pytest.raises(OperatorError, match="another sync"), only_one(tmp_path, "sync"):
        pass
    with only_one(tmp_path, "sync"), only_one(tmp_path, "export"):
        pass


def test_a_dataset_belongs_to_one_log(mine: Mine, tmp_path: Path) -> None:
    assert place_of(create_dataset(mine.fo, mine.dataset.name, mine.writer.folder)).last_id == 0
    with pytest.raises(OperatorError, match="--dataset"):
        create_dataset(mine.fo, mine.dataset.name, tmp_path / "elsewhere")
    with pytest.raises(OperatorError, match="mine sync"):
        open_dataset(mine.fo, "nothing-of-this-name")


def test_a_foreign_or_newer_dataset_is_refused(mine: Mine) -> None:
    mine.dataset.info["streetvision"]["format"] = 99
    mine.dataset.save()
    with pytest.raises(OperatorError, match="upgrade"):
        open_dataset(mine.fo, mine.dataset.name)
    del mine.dataset.info["streetvision"]
    mine.dataset.save()
    with pytest.raises(OperatorError, match="not made from a prediction log"):
        open_dataset(mine.fo, mine.dataset.name)


def test_merging_is_idempotent_and_blind_to_order(mine: Mine, jpeg: Jpeg) -> None:
    writer = mine.writer
    writer.write(*(writer.answered(jpeg(i % 2), float(i), model="ab"[i % 2]) for i in range(6)))
    with LogReader(writer.folder) as reader:
        rows = list(reader.rows())
    for merged in (merge([*rows, *rows]), merge(rows[::-1])):
        assert {key: set(value.rows) for key, value in merged.items()} == {
            key: set(value.rows) for key, value in merge(rows).items()
        }
        assert all(value.by_model == merge(rows)[key].by_model for key, value in merged.items())


def test_a_dataset_left_half_made_is_made_anew(mine: Mine, jpeg: Jpeg) -> None:
    name = f"{mine.dataset.name}-half"
    mine.fo.Dataset(name)
    dataset = create_dataset(mine.fo, name, mine.writer.folder)
    try:
        assert dataset.persistent
        assert place_of(dataset).last_id == 0
    finally:
        dataset.delete()


def test_what_two_members_said_is_kept_and_survives_an_answer_of_the_first_alone(mine: Mine, jpeg: Jpeg) -> None:
    record = mine.writer.answered(jpeg(1))
    assert record.prediction is not None
    asked = replace(record.prediction, members=(0.0, 2.0), router=RouterOutcome.ASKED)
    late = replace(record.prediction, members=(0.0,), router=RouterOutcome.NO_TIME)
    mine.writer.write(*(replace(record, prediction=one) for one in (asked, late)))
    mine.sync()
    sample = mine.sample()
    assert (sample["first_probability"], sample["router"]) == (0.5, "no_time")
    assert sample["second_probability"] == pytest.approx(0.8808, abs=1e-4)


def test_a_dataset_of_an_earlier_release_gets_the_fields_of_members(mine: Mine, jpeg: Jpeg) -> None:
    mine.writer.write(mine.writer.answered(jpeg(1)))
    mine.sync()
    names = ["first_probability", "second_probability", "router"]
    mine.dataset.delete_sample_fields(names)
    opened = open_dataset(mine.fo, mine.dataset.name)
    assert set(names) <= set(opened.get_field_schema())


def test_every_field_is_declared_before_the_first_row(mine: Mine, jpeg: Jpeg) -> None:
    before = set(mine.dataset.get_field_schema(flat=True))
    assert len(mine.dataset) == 0
    mine.writer.write(mine.writer.answered(jpeg(1)), mine.writer.refused(jpeg(2)))
    mine.sync()
    assert set(mine.dataset.get_field_schema(flat=True)) == before
    assert {"prediction.model", "predictions.classifications.probability", "ground_truth.label"} <= before
