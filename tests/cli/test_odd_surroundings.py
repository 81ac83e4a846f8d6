"""Commands in surroundings that nobody planned: paths that are none, streams that are closed or know no Unicode."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from streetvision.cli.main import main
from streetvision.errors import OperatorError
from streetvision.miner.early_signals import check_files
from streetvision.settings.settings import Settings

from ..conftest import Command, Logbook

HOMELESS = "'~nosuch/x' names the home of a user that does not exist: write the whole path"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "init --yes --env_file ~nosuch/x",
        "init --yes --from ~nosuch/x",
        "models add ~nosuch/x",
        "status --state_dir ~nosuch/x",
        "predict x.jpg --model ~nosuch/x",
        "doctor --env_file ~nosuch/x",
    ],
)
def test_the_home_of_nobody_is_one_sentence(here: Path, command: Command, words: str) -> None:
    code, out, err = command(*words.split())
    assert code == 1
    assert HOMELESS in " ".join((out + err).split())


def test_an_export_needs_a_place(here: Path, command: Command, logbook: Logbook) -> None:
    logbook.write(logbook.record(b"jpeg", logbook.answer(0.9)))
    assert "'' is neither a folder nor an s3://" in command("log", "export", "")[2]
    assert HOMELESS in command("log", "export", "~nosuch/x")[2]


@pytest.mark.parametrize("words", ["status", "log stats", "models list", "alerts list"])
def test_a_file_is_no_state_folder(here: Path, command: Command, words: str) -> None:
    (here / "state").touch()
    says = f"{here / 'state'} is no folder: name the state folder with --state_dir"
    assert command(*words.split()) == (1, "", f"error: {says}\n")
    with pytest.raises(OperatorError) as caught:
        check_files(Settings(subtensor_network="mock", state_dir=here / "state"))
    assert str(caught.value) == says


def test_a_folder_is_no_picture(here: Path, command: Command) -> None:
    assert command("predict", str(here)) == (1, "", f"error: {here}: name picture files\n")


def test_no_version_is_not_what_is_served(here: Path, command: Command) -> None:
    assert "There is no model version ''" in command("models", "rm", "")[2]


def test_a_folder_that_was_removed(here: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert command("status") == (1, "", "error: the current folder was removed: change to another one\n")
    monkeypatch.chdir(here)


def test_a_closed_stream_takes_everything(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streetvision", "models", "list"])
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit, match="0"):
        main()
    for stream in (sys.stdout, sys.stderr):
        assert stream.name == os.devnull
        stream.close()


def test_what_an_old_locale_lacks_becomes_a_question_mark(
    here: Path, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    logbook.write(logbook.record(b"jpeg", logbook.answer(0.9)))
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["streetvision", "log", "stats"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit, match="0"):
        main()
    assert b"0.90-0.95 ???" in shown.getvalue()
