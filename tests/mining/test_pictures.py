"""Links with a suffix for FiftyOne, and pictures that outlive the log's eviction."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.mining.pictures import PictureFolder

DIGEST = "ab" * 32


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "log" / "images" / "ab" / "ab" / DIGEST
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8\xff\xe0 a jpeg")
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> PictureFolder:
    return PictureFolder(tmp_path / "mining" / "images")


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"RIFF\0\0\0\0WEBP", ".webp"),
        (b"nonsense", ".jpg"),
        (b"", ".jpg"),
    ],
)
def test_the_suffix_follows_the_content(image: Path, pictures: PictureFolder, head: bytes, suffix: str) -> None:
    image.write_bytes(head)
    path = pictures.link(DIGEST, image)
    assert path.suffix == suffix
    assert path.is_symlink()
    assert path.read_bytes() == head


def test_a_moved_state_folder_keeps_its_links(image: Path, pictures: PictureFolder, tmp_path: Path) -> None:
    path = pictures.link(DIGEST, image)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("log", "mining"):
        (tmp_path / name).rename(moved / name)
    assert (moved / path.relative_to(tmp_path)).read_bytes() == b"\xff\xd8\xff\xe0 a jpeg"


def test_linking_again_changes_nothing(image: Path, pictures: PictureFolder) -> None:
    assert pictures.link(DIGEST, image) == pictures.link(DIGEST, image)
    assert pictures.census() == (1, 0)


def test_a_pin_takes_no_space_of_its_own(image: Path, pictures: PictureFolder) -> None:
    path = pictures.link(DIGEST, image)
    assert pictures.pin(path)
    assert path.samefile(image)
    image.unlink()
    assert path.read_bytes() == b"\xff\xd8\xff\xe0 a jpeg"
    assert pictures.link(DIGEST, image) == path
    assert not path.is_symlink()


def test_a_pin_across_file_systems_is_a_copy(
    image: Path, pictures: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(os, "link", refuse)
    path = pictures.link(DIGEST, image)
    assert pictures.pin(path)
    image.write_bytes(b"changed")
    assert path.read_bytes() == b"\xff\xd8\xff\xe0 a jpeg"


def test_an_evicted_picture_cannot_be_pinned_and_counts_as_gone(image: Path, pictures: PictureFolder) -> None:
    path = pictures.link(DIGEST, image)
    image.unlink()
    assert not pictures.pin(path)
    assert pictures.census() == (1, 1)


def test_an_image_evicted_while_it_is_pinned(
    image: Path, pictures: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pictures.link(DIGEST, image)

    def evict(*_: object) -> None:
        image.unlink()
        raise FileNotFoundError

    monkeypatch.setattr(os, "link", evict)
    assert not pictures.pin(path)
    assert pictures.census() == (1, 1)


def test_no_folder_is_no_picture(pictures: PictureFolder) -> None:
    assert pictures.census() == (0, 0)


def test_a_folder_that_cannot_be_written_is_a_sentence(image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError, match="cannot write"):
        PictureFolder(tmp_path / "file").link(DIGEST, image)
