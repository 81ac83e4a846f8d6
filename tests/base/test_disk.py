"""Small files are replaced whole; devices and pipes are written into, never replaced."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streetvision.base.disk import write_atomically


def test_a_file_is_replaced_and_a_link_to_it_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "page.html", tmp_path / "newest.html"
    file.write_text("old")
    link.symlink_to(file)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert list((tmp_path / "real").iterdir()) == [file]


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "page")
    reader.join(5)
    assert heard == ["page"]
    assert pipe.is_fifo()


def test_a_folder_is_refused_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "folder", "page")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
