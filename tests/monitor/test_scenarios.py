"""Simulated chains: each trouble is found within a tempo as what it is, and a healthy month is quiet."""

from __future__ import annotations

import pytest
from simulation.scenarios import SCENARIOS, WARM_UP_DAYS, Scenario, play
from simulation.subnet import TEMPO
from simulation.world import World

from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.rules import RULES, judge, rule_of
from streetvision.monitor.thresholds import THRESHOLDS


@pytest.fixture(scope="module")
def warm() -> World:
    """A healthy miner after a week and a day."""
    return World(1).run(WARM_UP_DAYS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_found_within_a_tempo_with_the_right_cause(warm: World, scenario: Scenario) -> None:
    world = warm.fork()
    assert judge(world.observe()) == ()
    outcome = play(scenario, world)
    assert outcome.finding is not None, outcome.diagnosis
    assert outcome.blocks is not None, outcome.diagnosis
    assert outcome.blocks <= TEMPO
    assert rule_of(scenario.code).missing(world.observe(), THRESHOLDS) is None


def test_every_rule_has_a_scenario() -> None:
    assert {rule.code for rule in RULES} == {scenario.code for scenario in SCENARIOS}


def test_thirty_healthy_days_raise_nothing() -> None:
    """With quiet nights, weight jitter, registrations, and two restarts of the miner."""
    world = World(4)
    for hour in range(30 * 24):
        for _ in range(6):
            world.advance(50)
        if hour % 6 == 0:
            world.downsample()
        if hour in (166, 500):
            world.restart()
        assert judge(world.observe()) == ()
    assert world.subnet.block - 6_000_000 == 30 * 7_200


def test_price_moves_alone_raise_nothing(warm: World) -> None:
    world = warm.fork()
    for price in (0.001, 0.2, 0.0001, 0.02):
        world.subnet.alpha_price = price
        for _ in range(8):
            world.advance(50)
            assert judge(world.observe()) == ()


def test_a_flapping_burn_is_one_finding_throughout(warm: World) -> None:
    world = warm.fork()
    keys = []
    for _ in range(8 * 6):
        world.subnet.halted = (world.subnet.last_epoch // TEMPO) % 2 == 0
        world.advance(60)
        keys.append([(f.key, f.since) for f in judge(world.observe()) if f.code == "subnet_halted"])
    first = next(i for i, key in enumerate(keys) if key)
    assert first <= 12
    assert all(key == keys[first] for key in keys[first:])


def test_dead_validators_become_a_halt_in_time(warm: World) -> None:
    world = warm.fork()
    world.subnet.asleep = {v.hotkey for v in world.subnet.validators}
    causes = []
    for _ in range(15):
        world.advance(50)
        causes.append(diagnose(world.observe()).cause)
    assert causes[2] is Cause.NOT_QUERIED
    assert causes[-1] is Cause.HALTED


def test_recovery_ends_the_findings(warm: World) -> None:
    world = warm.fork()
    world.challenges = False
    for _ in range(6):
        world.advance(50)
    assert diagnose(world.observe()).cause is Cause.NOT_QUERIED
    world.challenges = True
    for _ in range(2):
        world.advance(50)
    assert judge(world.observe()) == ()


def test_a_closed_port_of_a_new_miner_is_found_without_history() -> None:
    world = World(6)
    world.port_open = False
    for _ in range(6):
        world.advance(5)
    assert diagnose(world.observe()).cause is Cause.NOT_REACHABLE
