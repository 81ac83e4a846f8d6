"""Labels come back as versioned training sets that are true, stable and free of leaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.errors import OperatorError
from streetvision.mining import export as export_room
from streetvision.mining.export import ExportOptions, ExportReport, export_labels
from streetvision.mining.training_set import LABELS, LEFT_OUT, MANIFEST, read_lines
from streetvision.retrain.jobs.mine import run

from .conftest import Mine

Jpeg = Callable[[int], bytes]
NOW = 1_790_000_000.0


def import_pictures(mine: Mine, pictures: Iterable[bytes], *, spread: float = 1.0) -> None:
    """Import them with embeddings at right angles to each other."""
    pictures = list(pictures)
    vectors = np.eye(64, dtype=np.float32)[len(mine.dataset) :]
    writer = mine.writer
    writer.write(
        *(writer.answered(data, 1.0, embedding=v * spread) for data, v in zip(pictures, vectors, strict=False))
    )
    mine.sync()


def tag(mine: Mine, **tags: Iterable[int]) -> None:
    samples = list(mine.dataset.sort_by("first_seen"))
    for name, positions in tags.items():
        for position in positions:
            samples[position].tags.append(name)
            samples[position].save()


def export(mine: Mine, **options: Any) -> ExportReport:
    return export_labels(mine.fo, mine.dataset, mine.state / "training", ExportOptions(**options), now=NOW)


def test_a_training_set_with_pictures_labels_and_provenance(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, map(jpeg, range(12)))
    tag(mine, roadwork=range(5), none=range(5, 10), unsure=[10])
    sample = mine.sample(11)
    sample["ground_truth"] = mine.fo.Classification(label="none")
    sample.save()
    report = export(mine, val_share=0.4)
    assert (report.version, report.changed, report.leaks) == (1, True, 0)
    assert report.counts == {"train": {"roadwork": 3, "none": 4}, "val": {"roadwork": 2, "none": 2}}
    assert report.left_out == {"unsure": 1}
    records = read_lines(report.folder / LABELS)
    assert len(records) == 11
    for record in records:
        data = (report.folder / record["image"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["sha256"]
        assert record["model_version"] == "one"
        assert record["validators"]
        assert record["probability"] == pytest.approx(1 / (1 + np.exp(-1.0)))
        assert record["first_seen"].startswith("20")
    assert {tuple(record["said_by"]) for record in records} == {("tag",), ("field",)}
    [unsure] = read_lines(report.folder / LEFT_OUT)
    assert (unsure["reason"], unsure["label"]) == ("unsure", "unsure")
    assert not (report.folder / "images" / f"{unsure['sha256']}.jpg").exists()
    manifest = json.loads((report.folder / MANIFEST).read_text())
    assert manifest["labels"] == report.counts
    assert manifest["log_read_up_to"]["id"] == 12
    assert manifest["sha256"][LABELS] == hashlib.sha256((report.folder / LABELS).read_bytes()).hexdigest()
    assert sorted(path.name for path in report.folder.parent.iterdir()) == ["export.lock", "v0001"]
    assert mine.dataset.exists("split").count() == 11


def test_the_same_labels_make_no_new_version(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, map(jpeg, range(4)))
    tag(mine, roadwork=[0, 1], none=[2])
    first = export(mine)
    mine.writer.write(mine.writer.answered(jpeg(0), embedding=np.eye(64, dtype=np.float32)[0]))
    mine.sync()
    again = export(mine)
    assert (again.changed, again.folder) == (False, first.folder)
    tag(mine, none=[3])
    third = export(mine)
    assert (third.version, third.changed) == (2, True)
    assert first.folder.is_dir()


def test_near_duplicates_stay_on_one_side(mine: Mine, jpeg: Jpeg) -> None:
    """By embedding (0 and 1) and by looks (2 and its brightened copy 3), through two versions."""
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(jpeg(2))).point(lambda level: min(255, int(level * 1.1))).save(out, "JPEG", quality=60)
    axes = np.eye(64, dtype=np.float32)
    vectors = [axes[0], axes[0] + 0.001, *axes[2:20]]
    pictures = [*map(jpeg, range(3)), out.getvalue(), *map(jpeg, range(4, 20))]
    writer = mine.writer
    writer.write(*(writer.answered(data, embedding=v) for data, v in zip(pictures, vectors, strict=True)))
    mine.sync()
    tag(mine, roadwork=range(0, 20, 2))
    first = {record["sha256"]: record for record in read_lines(export(mine, val_share=0.5).folder / LABELS)}
    tag(mine, none=range(1, 20, 2))
    records = {record["sha256"]: record for record in read_lines(export(mine, val_share=0.5).folder / LABELS)}
    digests = [hashlib.sha256(data).hexdigest() for data in pictures]
    for one, other in ((0, 1), (2, 3)):
        assert records[digests[one]]["split"] == records[digests[other]]["split"]
        assert records[digests[one]]["group"] == records[digests[other]]["group"]
    assert all(records[digest]["split"] == record["split"] for digest, record in first.items())
    assert len({record["group"] for record in records.values()}) == 18


def test_what_resembles_both_sides_is_left_out(mine: Mine, jpeg: Jpeg) -> None:
    angles = np.deg2rad([0.0, 8.0, 4.0])
    vectors = np.zeros((3, 8), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    writer = mine.writer
    writer.write(*(writer.answered(jpeg(i), embedding=vectors[i]) for i in range(3)))
    mine.sync()
    for position, side in ((0, "train"), (1, "val")):
        sample = mine.sample(position)
        sample["split"] = side
        sample.save()
    tag(mine, roadwork=[0, 1, 2])
    report = export(mine)
    assert report.left_out == {"resembles pictures on both sides of the split": 1}
    assert len(list((report.folder / "images").iterdir())) == 2


def test_what_cannot_be_learned_from_is_listed(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, [*map(jpeg, range(4)), b"no picture at all"])
    tag(mine, roadwork=[0, 1, 2, 3, 4], none=[1])
    Path(mine.sample(2).filepath).resolve().unlink()
    mine.pictures.pin(Path(mine.sample(3).filepath))
    damaged = Path(mine.sample(3).filepath)
    damaged.unlink()
    damaged.write_bytes(jpeg(99))
    report = export(mine)
    assert report.left_out == {
        "labelled roadwork and none": 1,
        "the image is gone": 1,
        "the image is damaged": 1,
        "the image cannot be read": 1,
    }
    assert [record["sha256"] for record in read_lines(report.folder / LABELS)] == [hashlib.sha256(jpeg(0)).hexdigest()]


def test_nothing_labelled_is_a_sentence_and_leaves_nothing(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, map(jpeg, range(2)))
    with pytest.raises(OperatorError, match="nothing is labelled"):
        export(mine)
    assert [path.name for path in (mine.state / "training").iterdir()] == ["export.lock"]


def test_retraining_exports_what_was_labelled(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, map(jpeg, range(6)))
    request = {"dataset": mine.dataset.name, "target": str(mine.state / "training")}
    assert run(request, lambda _: None, lambda: False) == {"version": 0, "changed": False, "labels": 0}
    tag(mine, roadwork=range(3), none=range(3, 6))
    assert run(request, lambda _: None, lambda: False) == {"version": 1, "changed": True, "labels": 6}
    assert not run(request, lambda _: None, lambda: False)["changed"]


def test_a_killed_export_is_done_again_the_same(mine: Mine, jpeg: Jpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    import_pictures(mine, map(jpeg, range(10)))
    tag(mine, roadwork=range(10))

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for moment in ("finish", "_remember"):
        with monkeypatch.context() as patch:
            patch.setattr(export_room, moment, killed)
            with pytest.raises(KeyboardInterrupt):
                export(mine)
    report = export(mine, seed=5)
    assert (report.version, report.changed) == (1, False)
    assert mine.dataset.exists("split").count() == 10
    sides = {record["sha256"]: record["split"] for record in read_lines(report.folder / LABELS)}
    assert sides == dict(zip(*mine.dataset.values(["sha256", "split"]), strict=True))


def test_a_withdrawn_label_leaves_but_its_side_is_remembered(mine: Mine, jpeg: Jpeg) -> None:
    import_pictures(mine, map(jpeg, range(6)))
    tag(mine, roadwork=range(6))
    first = {record["sha256"]: record["split"] for record in read_lines(export(mine, val_share=0.5).folder / LABELS)}
    sample = mine.sample(0)
    sample.tags = ["unsure"]
    sample.save()
    second = export(mine, val_share=0.5)
    assert second.version == 2
    assert sum(map(len, map(list, (read_lines(second.folder / LABELS),)))) == 5
    sample.tags = ["none"]
    sample.save()
    third = read_lines(export(mine, val_share=0.5).folder / LABELS)
    assert {record["sha256"]: record["split"] for record in third} == first


def test_a_folder_that_cannot_be_written_is_a_sentence(mine: Mine, jpeg: Jpeg, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError, match="name"):
        export_labels(mine.fo, mine.dataset, tmp_path / "file" / "sets", now=NOW)
