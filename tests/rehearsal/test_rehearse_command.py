"""`streetvision retrain rehearse` tells of bad input at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Command = Callable[..., tuple[int, str, str]]


def test_a_folder_that_is_there_is_not_used(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    code, out, error = command("retrain", "rehearse", "--keep", str(tmp_path))
    assert (code, out) == (1, "")
    assert "name a folder that is not there yet" in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_whose_sockets_could_not_be_named_is_not_made(command: Command, tmp_path: Path) -> None:
    code, _, error = command("retrain", "rehearse", "--keep", str(tmp_path / ("x" * 80)))
    assert code == 1
    assert "name a folder of at most 80 characters" in error
    assert list(tmp_path.iterdir()) == []
