"""How sources are written, and those that are small: mined sets, scenes, made pictures."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.labelling.pictures import named_pictures
from streetvision.sources.named import SourceOptions, open_source
from streetvision.sources.opening import open_dataset
from streetvision.sources.picture import check_picture
from streetvision.sources.source import SourceError, SourcePicture, Unusable

from .pictures import class_folders, jpeg


def mined(folder: Path, *, label: str = "roadwork", number: int = 1) -> Path:
    data = jpeg(number)
    digest = hashlib.sha256(data).hexdigest()
    images = folder / f"v{number:04d}" / "images"
    images.mkdir(parents=True)
    (images / f"{digest}.jpg").write_bytes(data)
    record = {"image": f"images/{digest}.jpg", "sha256": digest, "label": label, "split": "val", "group": "g"}
    (images.parent / "labels.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def made(folder: Path, *records: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.jpg").write_bytes(jpeg(1))
    (folder / "made.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.mark.parametrize("text", ["~nobody-here/a", "folder:~nobody-here/a", "mined:~nobody-here/a"])
def test_the_home_of_nobody_is_told(text: str) -> None:
    with pytest.raises(OperatorError, match="a user that does not exist"):
        open_source(text)


def items(text: str) -> list[Any]:
    return list(open_source(text).pictures())


def test_a_mined_set_is_read_in_its_newest_version(tmp_path: Path) -> None:
    mined(tmp_path)
    mined(tmp_path, label="none", number=2)
    source = open_source(f"mined:{tmp_path}")
    assert source.name == f"mined:{tmp_path}/v0002"
    (only,) = source.pictures()
    assert isinstance(only, SourcePicture)
    assert (only.data, only.label, only.group, only.tags) == (jpeg(2), False, "g", {"mined_split": "val"})


def test_a_mined_picture_that_is_another_one_is_left_out(tmp_path: Path) -> None:
    mined(tmp_path)
    (path,) = tmp_path.rglob("*.jpg")
    path.write_bytes(jpeg(7))
    (only,) = items(f"mined:{tmp_path}/v0001")
    assert only == Unusable(only.key, "the file is not the picture that was labelled")
    with pytest.raises(SourceError, match="write one with `streetvision mine export`"):
        open_source(f"mined:{tmp_path}/gone")


def test_scenes_are_the_same_each_time_and_go_on(tmp_path: Path) -> None:
    source = open_source("scenes:7-8")
    first, second = source.pictures()
    assert isinstance(first, SourcePicture)
    assert check_picture(first.data).width in (640, 768, 480, 1024)
    assert list(source.pictures(first.key)) == [second]
    assert first.labelled_by == "scenes"


def test_made_pictures_say_what_made_them_and_how_far_to_trust_them(tmp_path: Path) -> None:
    good = {"file": "a.jpg", "label": 1, "made_by": "painter 2", "trust": 0.25, "group": "v1", "tags": {"night": True}}
    (only,) = items(f"made:{made(tmp_path / 'm', good)}")
    assert isinstance(only, SourcePicture)
    assert (only.label, only.trust, only.group, only.labelled_by) == (True, 0.25, "v1", "painter 2")
    assert only.tags == {"made_by": "painter 2", "night": "True"}


def test_a_variation_is_tagged_with_what_it_is_made_of(tmp_path: Path) -> None:
    origin = {"parent": "ab12", "prompt": "by night", "seed": 7, "back_end": "local 1"}
    record = {"file": "a.jpg", "label": 1, "made_by": "local 1", "tags": {"parent": "not this"}, **origin}
    (only,) = items(f"made:{made(tmp_path / 'm', record)}")
    assert isinstance(only, SourcePicture)
    assert only.tags == {"made_by": "local 1", **origin, "seed": "7"}


def test_signs_that_end_lines_elsewhere_may_stand_in_a_record(tmp_path: Path) -> None:
    made(tmp_path / "m", {"file": "a.jpg"})
    record = {"file": "a.jpg", "label": 1, "made_by": "painter\u2028two\x85", "tags": {"\ud800": "x"}}
    lines = json.dumps(record, ensure_ascii=False).replace("\ud800", "\\ud800")
    (tmp_path / "m" / "made.jsonl").write_text(f"\ufeff{lines}\r\n")
    (only,) = items(f"made:{tmp_path}/m")
    assert isinstance(only, SourcePicture)
    assert only.tags == {"made_by": "painter\u2028two", "?": "x"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": None}, "no label"),
        ({"made_by": ""}, "does not say what made it"),
        ({"trust": 2}, "trust is not"),
        ({"trust": float("nan")}, "trust is not"),
        ({"file": "/etc/passwd"}, "outside the folder"),
        ({"file": "\ud800.jpg"}, "does not exist"),
    ],
)
def test_a_record_that_says_too_little_is_left_out(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    record = {"file": "a.jpg", "label": 1, "made_by": "painter 2"} | change
    (only,) = items(f"made:{made(tmp_path / 'm', record)}")
    assert isinstance(only, Unusable)
    assert reason in only.reason


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    made(tmp_path / "m", {"file": "a.jpg"})
    (tmp_path / "m" / "made.jsonl").write_text('{"file": "a.jpg"}\n\n[1]\n')
    with pytest.raises(SourceError, match=r"Line 3 of .* is no JSON object"):
        items(f"made:{tmp_path}/m")


def test_a_folder_may_be_written_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    assert open_source("set").name == open_source("folder:set").name == f"folder:{tmp_path}/set"
    (first, *_) = open_source("set", SourceOptions(licence="CC0-1.0")).pictures()
    assert isinstance(first, SourcePicture)
    assert first.licence == "CC0-1.0"


def test_the_hub_wants_pyarrow_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SourceError, match=r"which need pyarrow: pip install 'streetvision\[train\]'"):
        open_source("roadwork")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("roadworks", "did you mean roadwork"),
        ("scene:1-2", r"did you mean scenes\?"),
        ("scenes:5-2", "names no scenes"),
        ("scenes:all", "names no scenes"),
        ("scenes:\uff10-\uff11", "names no scenes"),
        ("/no/such/folder", "is no source: write roadwork, hub:OWNER/NAME"),
        ("folder:/no/such/folder", "does not exist"),
        ("hub:nothing", "is no Hugging Face repository"),
        ("made:/tmp", "holds no made.jsonl"),
    ],
)
def test_a_mistyped_source_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(Exception, match=says) as caught:
        open_source(text)
    assert "\n" not in str(caught.value)


def test_the_home_of_an_unknown_user_is_told(tmp_path: Path) -> None:
    nobody = "~nobody-here/x"
    with pytest.raises(OperatorError, match="home of a user"):
        items(nobody)
    with pytest.raises(OperatorError, match="home of a user"):
        items(f"made:{nobody}")
    with pytest.raises(OperatorError, match="home of a user"):
        open_dataset(nobody, state=tmp_path)
    with pytest.raises(OperatorError, match="home of a user"):
        list(named_pictures(nobody, tmp_path))
