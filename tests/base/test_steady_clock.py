"""Time that no step of the wall clock moves by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from streetvision.base.steady_clock import LASTED_S, SLEW_S, SteadyClock, elapsed

NOW = 1_790_000_000.0
DAY = 86_400.0


@dataclass
class Machine:
    """`pass_` moves both clocks, `set_` the wall clock alone."""

    wall: float = NOW
    elapsed: float = 1000.0
    synchronised: bool | None = False
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SteadyClock(
            wall=lambda: self.wall,
            elapsed=lambda: self.elapsed,
            synchronised=lambda: self.synchronised,
            tell=self.told.append,
        )

    def pass_(self, seconds: float) -> float:
        self.wall += seconds
        self.elapsed += seconds
        return self.clock()


@pytest.mark.parametrize("known", [False, None])
@pytest.mark.parametrize("step", [120 * DAY, -120 * DAY, 60.0, -NOW])
def test_a_step_that_nobody_vouches_for_is_not_followed_and_told_once(step: float, known: bool | None) -> None:
    machine = Machine(synchronised=known)
    machine.wall += step
    assert machine.clock() == NOW
    assert machine.pass_(60.0) == NOW + 60.0
    assert len(machine.told) == 1
    machine.wall -= step
    assert machine.pass_(60.0) == NOW + 120.0
    assert len(machine.told) == 1


def test_a_step_is_followed_when_a_time_daemon_vouches() -> None:
    machine = Machine(wall=0.0)  # it booted in 1970
    assert machine.clock() == 0.0
    machine.wall = NOW
    machine.synchronised = True
    assert machine.clock() == NOW
    assert len(machine.told) == 1


def test_a_step_that_lasts_is_followed_in_the_end() -> None:
    machine = Machine()
    machine.wall += DAY
    machine.clock()
    assert machine.pass_(LASTED_S - 1.0) == NOW + LASTED_S - 1.0
    machine.wall += DAY  # another step: its hour begins anew
    assert machine.pass_(2.0) == NOW + LASTED_S + 1.0
    assert machine.pass_(LASTED_S) == NOW + 2 * DAY + 2 * LASTED_S + 1.0


def test_a_clock_that_is_corrected_gently_is_followed() -> None:
    machine = Machine()
    for _ in range(100):
        machine.wall += 0.9 * SLEW_S
        machine.pass_(10.0)
    assert machine.clock() == machine.wall
    assert machine.told == []


def test_a_sleep_counts() -> None:
    machine = Machine()
    assert machine.pass_(30 * DAY) == NOW + 30 * DAY  # `elapsed` goes on while the machine sleeps
    assert elapsed() <= elapsed()
