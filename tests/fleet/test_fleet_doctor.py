"""The doctor over a fleet: what all have in common, and what is wrong with one alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.doctor.check import Check, Report, failure, ok, warning
from streetvision.doctor.examination import Tools
from streetvision.fleet import doctor
from streetvision.fleet.doctor import FleetReport, examine_fleet, fleet_checks
from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.settings.settings import Settings

from .conftest import THREE, Write

SAME = ok("versions", "all there")
WRONG = warning("disk", "nearly full", "df")


async def examined(settings: Settings, file: Path | None, sentences: list[str], tools: Tools) -> Report:
    own: tuple[Check, ...] = (ok("port", f"{settings.axon.port}"),)
    if settings.axon.port == 18092:
        own = (failure("port", f"taken, {settings.wallet.path}", "choose another"),)
    return Report((SAME, WRONG, *own))


@pytest.fixture
def _examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", examined)


@pytest.mark.usefixtures("_examined")
async def test_what_all_share_is_told_once(fleet: Fleet) -> None:
    report = await examine_fleet(fleet, fleet.members)
    assert list(report.miners) == ["hot1", "hot2", "hot3"]
    assert report.in_common() == (SAME, WRONG)
    assert report.own_troubles("hot1") == ()
    assert [check.name for check in report.own_troubles("hot2")] == ["port"]
    assert report.failed
    assert report.as_dict()["miners"]["hot3"]["ok"]
    assert not report.as_dict()["ok"]


@pytest.mark.usefixtures("_examined")
async def test_one_miner_alone(fleet: Fleet) -> None:
    report = await examine_fleet(fleet, [fleet.members[0]])
    assert not report.failed


def test_the_fleets_own_checks(fleet: Fleet, write: Write) -> None:
    marks = {check.name: check.mark for check in fleet_checks(fleet, {})}
    assert marks == {"fleet": "ok", "keeper": "warning"}
    large = load_fleet(write(THREE.replace("log.max_gib = 1\n", "")), {})
    marks = {check.name: check.mark for check in fleet_checks(large, {"MINER_AXON_PORT": "1"})}
    assert marks == {"fleet": "ok", "keeper": "warning", "logs": "warning", "environment": "warning"}
    assert FleetReport(tuple(fleet_checks(large, {})), {}).as_dict()["ok"]
