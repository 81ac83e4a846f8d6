from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from streetvision.doctor.check import Mark
from streetvision.doctor.synthetic import check_synthetic
from streetvision.settings.settings import Settings
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.sources.dataset import Example
from streetvision.synthesis.kinds import KINDS
from streetvision.synthesis.planning import Wish
from streetvision.synthesis.store import open_store

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def checked(state: Path, wanted: SyntheticSettings) -> tuple[Mark, str]:
    check = check_synthetic(replace(Settings(), state_dir=state, synthetic=wanted), NOW.timestamp())
    return check.mark, f"{check.evidence}|{check.remedy}"


def test_without_a_back_end_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert checked(tmp_path, SyntheticSettings()) == (Mark.SKIPPED, "no variations are made before retraining|")


def test_the_local_one_is_always_there(tmp_path: Path) -> None:
    mark, said = checked(tmp_path, SyntheticSettings(back_end="local", kinds="night,fog"))
    assert (mark, said) == (Mark.OK, "it computes on this machine: night, fog|")
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    mark, said = checked(tmp_path, SyntheticSettings(back_end="vllm-omni", url="http://127.0.0.1:1"))
    assert mark is Mark.WARNING
    assert said == "no connection to http://127.0.0.1:1|Start the server, or correct --synthetic.url"


def test_kinds_that_are_none_and_a_spent_budget_are_told(tmp_path: Path) -> None:
    assert "'fgo' is no kind" in checked(tmp_path, SyntheticSettings(back_end="local", kinds="fgo"))[1]
    wanted = SyntheticSettings(back_end="local", kinds="fog", price=1.0, budget=1.5)
    with open_store(tmp_path) as store:
        wish = Wish(Example(Path("a.jpg"), True, "a", "train", sha256="ab"), KINDS["fog"], 1)
        store.begin("v1", wish, "local 1", remote=False, price=1.0, begun=NOW.isoformat())
    assert checked(tmp_path, wanted) == (
        Mark.WARNING,
        "1.00 of 1.50 of money spent this month, and this may take 1.00|Wait, or raise SYNTHETIC_BUDGET",
    )
