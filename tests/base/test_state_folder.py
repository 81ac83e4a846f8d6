"""The state folder: one miner at a time, nobody else's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from loguru import logger

from streetvision.base.state_folder import make_state_folder, one_miner
from streetvision.errors import OperatorError


def test_a_new_folder_is_this_users_alone(tmp_path: Path) -> None:
    make_state_folder(tmp_path / "a" / "state")
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700


def test_a_second_miner_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with one_miner(tmp_path):
        with pytest.raises(OperatorError, match=r"another miner is running in .*: stop it, or name another state"):
            one_miner(tmp_path).__enter__()
        with one_miner(tmp_path / "other"):
            pass
    with one_miner(tmp_path):
        pass


def test_a_folder_that_others_may_write_in_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    said: list[str] = []
    logger.add(said.append, format="{message}")
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o775)
    with one_miner(tmp_path / "state"):
        pass
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o775
    assert "chmod 700" in said[0]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OperatorError, match=r"cannot be made .*: name another with --state_dir"),
        one_miner(tmp_path / "file" / "state"),
    ):
        pass
