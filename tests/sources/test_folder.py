"""Folders of classes and CSV manifests as sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streetvision.sources.folder import open_folder
from streetvision.sources.labels import words
from streetvision.sources.source import SourceError, SourcePicture, Unusable

from .pictures import class_folders, jpeg


def read(path: Path, **options: object) -> tuple[list[SourcePicture], dict[str, str]]:
    items = list(open_folder(path, **options).pictures())  # type: ignore[arg-type]
    bad = {item.key: item.reason for item in items if isinstance(item, Unusable)}
    return [item for item in items if isinstance(item, SourcePicture)], bad


def test_folders_named_after_classes_are_labels_and_folders_below_them_groups(tmp_path: Path) -> None:
    for name in (
        "train/Roadwork/drive1/a.jpg",
        "train/Roadwork/b.png",
        "val/0/drive1/c.jpg",
        "odd/d.jpg",
        "val/0/x.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(1))
    good, bad = read(tmp_path)
    assert [(one.key, one.label, one.group) for one in good] == [
        ("train/Roadwork/b.png", True, "train/Roadwork/b.png"),
        ("train/Roadwork/drive1/a.jpg", True, "drive1"),
        ("val/0/drive1/c.jpg", False, "drive1"),
    ]
    assert list(bad) == ["odd/d.jpg"]


def test_reading_goes_on_after_a_key(tmp_path: Path) -> None:
    source = open_folder(class_folders(tmp_path))
    keys = [item.key for item in source.pictures()]
    assert [item.key for item in source.pictures(keys[4])] == keys[5:]


def test_the_operator_may_name_what_means_roadwork(tmp_path: Path) -> None:
    for name in ("bagger/a.jpg", "strasse/b.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(jpeg(1))
    good, _ = read(tmp_path, words=words(["Bagger"]))
    assert [(one.key, one.label) for one in good] == [("bagger/a.jpg", True), ("strasse/b.jpg", False)]


def test_a_manifest_says_what_it_knows_and_further_columns_are_tags(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.jpg").write_bytes(jpeg(2))
    (tmp_path / "manifest.csv").write_text(
        "\ufefffile,label,group,licence,url,trust,weather\n"
        "b.jpg,0,town,,,,\n"
        'a.jpg,1,drive,CC-BY-4.0,https://example.org/a,0.5,"rain, heavy"\n'
    )
    good, bad = read(tmp_path, licence="CC0-1.0")
    first, second = good
    assert (first.key, first.label, first.group, first.licence) == ("a.jpg", True, "drive", "CC-BY-4.0")
    assert (first.trust, dict(first.tags)) == (0.5, {"weather": "rain, heavy"})
    assert (second.licence, dict(second.tags), bad) == ("CC0-1.0", {}, {})


def test_rows_that_give_no_picture_are_counted_with_their_reason(tmp_path: Path) -> None:
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(jpeg(1))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(outside)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "twice.jpg").write_bytes(jpeg(1))
    rows = ["gone.jpg,1", "../secret.jpg,1", "link.jpg,1", "pipe.jpg,1", "twice.jpg,1", "twice.jpg,0", "w.jpg,maybe"]
    (folder / "manifest.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    good, bad = read(folder)
    assert good == []
    assert bad == {
        "gone.jpg": "the file does not exist",
        "../secret.jpg": "the file lies outside the folder",
        "link.jpg": "the file lies outside the folder",
        "pipe.jpg": "the file does not exist",
        "twice.jpg": "the manifest lists it with contrary labels",
        "w.jpg": "its label 'maybe' is no class",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,lable\n", r"no column 'label': did you mean lable\?"),
        ("path,label\n", "no column 'file': it has path, label"),
        ("", "no column 'file': it has none"),
        ("file,label,label\na.jpg,1,0\n", "has 2 columns 'label': keep the one that is right"),
        ('file,label\na,"1\n', "cannot be read"),
    ],
)
def test_a_manifest_that_is_none_is_told_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(SourceError, match=says) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_labels_says_how_to_give_them(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(SourceError, match="sort them into folders `roadwork` and `none`"):
        read(tmp_path)
    with pytest.raises(SourceError, match="does not exist"):
        open_folder(tmp_path / "gone")


def test_a_name_that_is_no_text_is_counted(tmp_path: Path) -> None:
    class_folders(tmp_path, 1)
    odd = os.fsencode(tmp_path / "none") + b"/\xff.jpg"
    with Path(os.fsdecode(odd)).open("wb") as file:
        file.write(jpeg(3))
    good, bad = read(tmp_path)
    assert (len(good), bad) == (2, {r"'none/\udcff.jpg'": "its name is not UTF-8"})
