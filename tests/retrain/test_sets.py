from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.retrain.combining import Label
from streetvision.retrain.labels import count_labels, seen_labels
from streetvision.retrain.sets import MINED, frozen_sets, learning_sets, look, mined_set, set_names
from streetvision.retrain.steps.collect import collect, mines
from streetvision.retrain_log.records import RunState, StepName
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings
from streetvision.sources.listed import ListedDataset
from streetvision.sources.source import SourceError

from .streets import Street, draw, in_process, store_set


def mined(folder: Path, count: int = 6, *, number: int = 1, first: int = 0, **changes: Any) -> Path:
    """A version as `streetvision mine export` writes it; every third picture is held out."""
    version, records = folder / f"v{number:04d}", []
    (version / "images").mkdir(parents=True)
    for path in sorted(draw(folder / f"drawn-{first}", range(first, first + count)).rglob("*.png"), key=_number):
        data, digest = path.read_bytes(), hashlib.sha256(path.read_bytes()).hexdigest()
        (version / "images" / f"{digest}.png").write_bytes(data)
        side = "val" if _number(path) % 3 == 0 else "train"
        record = {"image": f"images/{digest}.png", "sha256": digest, "label": path.parent.name, "split": side}
        records.append(record | {"group": f"g{_number(path)}", "first_seen": "2026-11-29T10:00:00+00:00"} | changes)
    (version / "labels.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (version / "manifest.json").write_text("{}")
    return folder


def _number(path: Path) -> int:
    return int(path.stem)


def test_what_mining_holds_out_judges(tmp_path: Path) -> None:
    found = mined_set(mined(tmp_path))
    assert (found.version, found.divides) == ("v0001", True)
    assert [one.split for one in found.examples].count("test") == 2
    assert {one.tags["first_seen"] for one in found.examples} == {"2026-11-29"}
    assert {one.source for one in found.examples} == {f"mined:{tmp_path}/v0001"}


def test_the_newest_version_counts(tmp_path: Path) -> None:
    mined(tmp_path)
    mined(tmp_path, 4, number=2, first=50)
    assert mined_set(tmp_path).version == "v0002"
    assert mined_set(tmp_path / "v0001").version == "v0001"


def test_pictures_that_went_or_changed_are_left_out_when_they_are_looked_at(tmp_path: Path) -> None:
    found = mined_set(mined(tmp_path))
    found.examples[0].path.unlink()
    found.examples[1].path.write_bytes(found.examples[2].path.read_bytes())
    broken = b"no picture at all"
    found.examples[3].path.write_bytes(broken)
    given = [*found.examples[:3], replace(found.examples[3], sha256=hashlib.sha256(broken).hexdigest())]
    looked = look(replace(found, examples=(*given, *found.examples[4:])))
    assert len(looked.members) == 3
    assert looked.unusable.total() == 3
    assert looked.unusable["the file does not exist"] == 1
    assert looked.unusable["the file is not the picture that was labelled"] == 1


@pytest.mark.parametrize(
    "change", [{"image": "../../secret.jpg"}, {"label": "maybe"}, {"split": "all"}, {"image": None}]
)
def test_a_list_that_mining_did_not_write_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    mined(tmp_path, 2, **change)
    with pytest.raises(SourceError, match="is no list of `streetvision mine export`"):
        mined_set(tmp_path)


def test_minings_own_set_is_learned_from_where_it_is_wanted(tmp_path: Path) -> None:
    settings = replace(Settings(), state_dir=tmp_path, retrain=RetrainSettings(datasets="streets"))
    assert set_names(settings) == ["streets"]
    mined(tmp_path / MINED)
    assert set_names(settings) == ["streets", str(tmp_path / MINED)]
    assert set_names(replace(settings, retrain=RetrainSettings(datasets="streets", mine=False))) == ["streets"]
    assert set_names(replace(settings, retrain=RetrainSettings(datasets=str(tmp_path / MINED)))) == [
        str(tmp_path / MINED)
    ]


def test_sets_look_alike_however_they_are_kept(tmp_path: Path) -> None:
    """A stored dataset knows what its pictures look like; a folder is looked at. Both say the same."""
    pictures = draw(tmp_path / "pictures", range(8))
    store_set(tmp_path / "state", "streets", pictures)
    (stored,) = learning_sets(["streets"], tmp_path / "state")
    (folder,) = frozen_sets([str(pictures)], tmp_path / "state")
    found = [{m.example.sha256: m.fingerprint for m in look(one).members} for one in (stored, folder)]
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_a_frozen_dataset_judges_with_all_of_its_splits(tmp_path: Path) -> None:
    store_set(tmp_path, "held", draw(tmp_path / "pictures", range(30)))
    (found,) = frozen_sets(["held"], tmp_path)
    assert len(found.examples) == 30


def night(tmp_path: Path, **wanted: Any) -> Street:
    made = Street(tmp_path / "state", RetrainSettings(**({"datasets": "streets", "frozen": "held"} | wanted)))
    store_set(made.state, "streets", draw(tmp_path / "streets", range(30)))
    store_set(made.state, "held", draw(tmp_path / "held", range(1000, 1010)))
    mined(made.state / MINED, 12, first=500)
    return made


def test_mined_labels_are_learned_from_beside_datasets(tmp_path: Path) -> None:
    made = night(tmp_path)
    collected = made.do(StepName.COLLECT)
    assert (collected["labels"], collected["new_labels"]) == (42, 42)
    assert [one["version"] for one in collected["sets"]] == ["", "v0001"]
    output = made.do(StepName.LABEL, StepName.SYNTHESISE, StepName.DATASET)
    listed = ListedDataset(Path(str(output["pictures"]))).examples()
    own = [one for one in listed if one.source.startswith("mined:")]
    assert len(own) == 12
    assert [one.split for one in own].count("test") == 4
    assert sum(part["pictures"] for part in output["splits"].values()) == 42


def test_only_a_run_that_trained_makes_labels_known(tmp_path: Path) -> None:
    made = night(tmp_path)
    made.do(StepName.COLLECT, StepName.LABEL, StepName.SYNTHESISE, StepName.DATASET)
    assert seen_labels(made.store) == frozenset[Label]()
    made.store.begin_step(made.run.id, StepName.TRAIN, made.time.now())
    made.store.finish_step(made.run.id, StepName.TRAIN, {}, made.time.now())
    assert count_labels(made.settings, made.store) == 0
    for number in range(120):
        made.store.add(replace(made.run, id=f"night {number}", state=RunState.NOTHING_TO_DO))
    assert count_labels(made.settings, made.store) == 0, "however many nights passed without a run"
    mined(made.state / MINED, 15, number=2, first=500)
    assert count_labels(made.settings, made.store) == 3
    Path(str(made.outputs()[StepName.DATASET]["pictures"])).unlink()
    assert count_labels(made.settings, made.store) == 45


def test_labels_made_in_the_app_are_exported_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = night(tmp_path)
    assert not mines(made.settings), "nobody mined here"
    (made.state / "mining").mkdir()
    (made.state / "mining" / "synced.json").write_text("{}")
    monkeypatch.setattr("streetvision.retrain.steps.collect.find_spec", lambda _: object())
    asked = []

    def work(context: object, job: str, request: Mapping[str, Any], tell: object, stop: object) -> dict[str, Any]:
        asked.append((job, request["target"]))
        mined(made.state / MINED, 20, number=2, first=500)
        return {"version": 2, "changed": True, "labels": 20}

    made.store.add(made.run)
    output = collect(made.context(StepName.COLLECT), work)
    assert asked == [("mine", str(made.state / MINED))]
    assert (output["labels"], output["mined"]["version"]) == (50, 2)
    made.want(mine=False)
    assert collect(made.context(StepName.COLLECT), in_process)["mined"] is None
