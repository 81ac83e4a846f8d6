"""The status of a fleet: what miners say, what their keepers know, and sums."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from streetvision.fleet import overview
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.overview import shared_memory
from streetvision.fleet.wording import keeper_words

from .snapshots import FINDING, fleet_of, silent


def test_each_miner_is_shown_as_it_is(fleet: Fleet) -> None:
    first, second, third = fleet_of(fleet)["miners"]
    assert (first["state"], first["uid"], first["miners"], first["restarts"]) == ("serving", 8, 248, 0)
    assert first["findings"] == [{name: FINDING[name] for name in ("severity", "title", "remedy")}]
    assert first["model"] == "1.4.0 (street-b)"
    assert first["p99"] is not None
    assert (second["state"], second["why"], second["restarts"]) == ("down", "killed by SIGKILL", 4)
    assert second["rank"] is None
    assert third["state"] == "starting"
    assert third["why"] == "loading libraries, for 10 s (process 1, started 20 s ago); before, exit code 1"


def test_the_sums_are_of_those_that_answer(fleet: Fleet) -> None:
    found = fleet_of(fleet)
    totals, first = found["totals"], found["miners"][0]
    assert (totals["miners"], totals["serving"], totals["registered"]) == (3, 1, 1)
    assert totals["emission_per_day"] == first["emission_per_day"]
    assert totals["tao_per_day"] == first["tao_per_day"]
    assert totals["findings"] == {"warning": 1}
    json.dumps(found, allow_nan=False)


def test_without_a_keeper_nobody_starts_what_is_stopped(fleet: Fleet) -> None:
    found = fleet_of(fleet, {})
    assert found["keeper"] is None
    row = found["miners"][1]
    assert (row["state"], row["restarts"]) == ("stopped", None)
    assert "`streetvision fleet up` starts it" in row["why"]


def test_what_systemd_keeps_says_so(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeper_words(fleet_of(fleet, {})) == "No `fleet up` keeps these miners"
    monkeypatch.setattr(overview, "unit_of", lambda pid: "streetvision@hot1.service" if pid == 4711 else None)
    found = fleet_of(fleet, {})
    assert [row["unit"] for row in found["miners"]] == ["streetvision@hot1.service", "", ""]
    assert keeper_words(found) == "Kept by systemd"
    found["keeper"] = 17
    assert keeper_words(found) == "Kept by process 17"


def test_one_that_hangs_is_silent(fleet: Fleet) -> None:
    rows = fleet_of(fleet, asking=silent)["miners"]
    assert {row["state"] for row in rows} == {"silent"}
    assert rows[0]["why"] == "the miner said nothing for 5 s"


def test_one_that_waits_for_its_turn_or_has_just_begun_is_starting(fleet: Fleet) -> None:
    kept = {"hot2": Kept()}
    assert fleet_of(fleet, kept)["miners"][1]["why"] == "it waits for others to start first"
    kept["hot2"].pid = 1
    assert fleet_of(fleet, kept)["miners"][1]["state"] == "starting"
    kept["hot2"] = Kept(ended=90.0, next_try=101.0)
    assert fleet_of(fleet, kept)["miners"][1]["why"] == "it was stopped, and is started again"


def test_memory_is_the_share_of_what_is_shared(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps_rollup").write_text(
        "5-7 ---p 0 0:0 0 [rollup]\nRss: 900 kB\nPss:     512 kB\nPss_Anon: 3 kB\n"
    )
    assert shared_memory(7, tmp_path) == 512 << 10
    assert shared_memory(8, tmp_path) is None
    assert (shared_memory(os.getpid()) or 0) > 0
