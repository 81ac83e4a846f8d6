"""The facts of a plan: what the miner's history says of the subnet, what is installed, what can be counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.monitor.history_database import FOLDER, HistoryDatabase
from streetvision.monitor.point import HistoryPoint
from streetvision.retrain import facts
from streetvision.retrain.facts import gather, halt_told, with_labels
from streetvision.retrain.planning import Facts
from streetvision.retrain_log.reader import RetrainReader
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings

from ..monitor.conftest import NOW, make_point
from .fakes import WANTED, settings_in


def remember(state: Path, *points: HistoryPoint) -> None:
    """As the miner's monitor does."""
    database = HistoryDatabase(state / FOLDER, "own", 72)
    database.replace(((), ()), (points, ()))
    database.close()


def test_without_a_history_nothing_says_that_the_subnet_is_halted(tmp_path: Path) -> None:
    assert halt_told(settings_in(tmp_path), NOW) == ""
    assert not (tmp_path / FOLDER).exists()


def test_a_subnet_that_pays_is_not_halted(tmp_path: Path) -> None:
    remember(tmp_path, *(make_point(back) for back in range(5)))
    assert halt_told(settings_in(tmp_path), NOW) == ""


def test_a_halt_is_told_while_the_history_is_fresh(tmp_path: Path) -> None:
    remember(tmp_path, *(make_point(back, burn_share=1.0, paid_miners=0) for back in range(5)))
    settings = settings_in(tmp_path)
    assert halt_told(settings, NOW) == "100 % of the miners' incentive goes to the owner's UIDs and is burned."
    assert halt_told(settings, NOW + 5 * 3600) != ""
    assert halt_told(settings, NOW + 7 * 3600) == "", "the miner was stopped since: nobody knows"


def test_a_node_of_another_time_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "kernel_synchronised", lambda: True)
    remember(tmp_path, *(make_point(back, burn_share=1.0, clock_offset=90_000.0) for back in range(5)))
    assert halt_told(settings_in(tmp_path), NOW) == ""


def test_a_damaged_history_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "history.sqlite").write_bytes(b"no database" * 999)
    with pytest.raises(OperatorError, match="move it away"):
        halt_told(settings_in(tmp_path), NOW)


def gathered(
    state: Path, wanted: RetrainSettings = WANTED, check: Callable[[Settings], None] = lambda _: None
) -> Facts:
    settings = settings_in(state, wanted)
    return gather(settings, RetrainReader(state), check, now="2026-11-30T02:00:00+00:00", alone=True)


def test_what_no_run_could_use_is_told_once_the_settings_name_it(tmp_path: Path) -> None:
    def check(settings: Settings) -> None:
        raise OperatorError("there is no recipe")

    assert gathered(tmp_path, check=check).unfit == "there is no recipe"
    assert gathered(tmp_path, RetrainSettings(), check).unfit == "", "nothing is configured yet, which is told alone"
    assert gathered(tmp_path).unfit == ""


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "NEEDED", ("json", "no_such_package"))
    assert gathered(tmp_path).missing == "no_such_package"


def test_labels_are_counted_where_there_is_anything_to_learn_from(tmp_path: Path) -> None:
    def counted(wanted: RetrainSettings) -> Facts:
        found = gathered(tmp_path, wanted)
        assert not found.counted
        return with_labels(found, settings_in(tmp_path, wanted), RetrainReader(tmp_path), lambda *_: 3)

    assert counted(WANTED).labels == counted(RetrainSettings()).labels == 3
    assert not counted(RetrainSettings(mine=False)).counted


def test_what_cannot_be_counted_is_told(tmp_path: Path) -> None:
    def broken(*_: object) -> int:
        raise OperatorError("the dataset is gone: add it")

    found = with_labels(gathered(tmp_path), settings_in(tmp_path), RetrainReader(tmp_path), broken)
    assert (found.labels, found.labels_problem, found.counted) == (None, "the dataset is gone: add it", True)
