"""The alerts' state machine: what is told, when, how often; and what it is worth on the simulated subnet."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation.scenarios import SCENARIOS, Scenario
from simulation.subnet import TEMPO
from simulation.world import World

from streetvision.alerts.alert import AlertItem, Change
from streetvision.alerts.digest import digest
from streetvision.alerts.policy import policy_of, unproven
from streetvision.alerts.schedule import AlertPolicy, Hours, advance, digest_due, minutes
from streetvision.alerts.state import AlertState, read_state
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.retraining import RetrainView, RunView
from streetvision.monitor.rules import judge, rule_of
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.settings.alerts import AlertSettings

START = datetime(2026, 11, 2, 12, 0, tzinfo=UTC).timestamp()
PASS_S = 20.0
POLICY = AlertPolicy()
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def finding(code: str = "disk_low", severity: Severity = CRITICAL, subject: str = "") -> Finding:
    return Finding(code, severity, f"{code} holds", ("It is 3.",), "Do this.", subject=subject)


class Operator:
    """Feeds passes and keeps what is told; now and then the state goes through JSON, as over a restart."""

    def __init__(self, policy: AlertPolicy = POLICY, start: float = START) -> None:
        self.policy, self.now, self.state = policy, start, AlertState()
        self.messages: list[tuple[float, tuple[AlertItem, ...]]] = []

    def passes(self, seconds: float, *findings: Finding, unproven: frozenset[str] = frozenset()) -> Operator:
        for _ in range(round(seconds / PASS_S)):
            state, items = advance(self.state, findings, self.now, self.policy, unproven=unproven)
            self.state = read_state(json.loads(json.dumps(state.to_json()))) if items else state
            if items:
                self.messages.append((self.now - START, items))
            self.now += PASS_S
        return self

    @property
    def told(self) -> list[tuple[Change, str]]:
        return [(item.change, item.finding.code) for _, items in self.messages for item in items]


# -- transitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "after"), [(CRITICAL, 60.0), (WARNING, 300.0)])
def test_told_once_when_it_has_held_and_once_when_it_is_gone(severity: Severity, after: float) -> None:
    operator = Operator().passes(HOUR, finding(severity=severity)).passes(HOUR)
    assert operator.told == [(Change.RAISED, "disk_low"), (Change.RECOVERED, "disk_low")]
    assert operator.messages[0][0] == after
    recovery = operator.messages[1][1][0]
    assert operator.messages[1][0] == HOUR + POLICY.clear_s
    assert recovery.headline == "recovered after 60 min: disk_low holds"
    assert operator.state.active == ()


def test_what_does_not_hold_is_not_told() -> None:
    operator = Operator()
    for _ in range(20):
        operator.passes(40, finding()).passes(40)
        operator.passes(280, finding(severity=WARNING)).passes(20)
    assert operator.told == []
    assert len(operator.state.tracked) <= 1


def test_information_never_alerts() -> None:
    assert Operator().passes(DAY / 4, finding(severity=Severity.INFO)).told == []


def test_worse_is_told_and_easing_is_not() -> None:
    operator = Operator().passes(400, finding(severity=WARNING)).passes(400, finding())
    assert operator.told == [(Change.RAISED, "disk_low"), (Change.WORSE, "disk_low")]
    assert operator.messages[1][1][0].headline == "now CRITICAL: disk_low holds"
    operator.passes(1000, finding(severity=WARNING)).passes(400)
    assert [change for change, _ in operator.told] == [Change.RAISED, Change.WORSE, Change.RECOVERED]


def test_reminders_come_at_their_pace() -> None:
    critical = Operator().passes(DAY, finding())
    assert [change for change, _ in critical.told] == [Change.RAISED, *[Change.REMINDER] * 3]
    warning = Operator().passes(DAY * 1.1, finding(severity=WARNING))
    assert [change for change, _ in warning.told] == [Change.RAISED, Change.REMINDER]
    never = Operator(replace(POLICY, reminder_s=0.0)).passes(2 * DAY, finding())
    assert [change for change, _ in never.told] == [Change.RAISED]


def test_what_is_due_together_is_one_message() -> None:
    operator = Operator().passes(120, *(finding("validator_silent", subject=f"v{i}") for i in range(7)), finding())
    assert [len(items) for _, items in operator.messages] == [8]


def test_a_finding_that_comes_and_goes_is_told_of_less_and_less() -> None:
    operator = Operator()
    for _ in range(72):  # a day of ten minutes on, ten minutes off
        operator.passes(600, finding()).passes(600)
    changes = Counter(change for change, _ in operator.told)
    assert changes[Change.RAISED] <= 3
    assert changes[Change.RECOVERED] <= 3
    operator.passes(DAY)
    assert operator.told[-1] == (Change.RECOVERED, "disk_low")


def test_what_swings_between_grades_is_no_news_each_time() -> None:
    operator = Operator()
    for _ in range(48):
        operator.passes(900, finding()).passes(900, finding(severity=WARNING))
    assert Counter(change for change, _ in operator.told)[Change.WORSE] <= 4


def test_a_flood_is_bounded_and_complete() -> None:
    operator = Operator(replace(POLICY, reminder_s=0.0))
    holding: list[Finding] = []
    for number in range(120):  # one new warning a minute
        holding.append(finding("validator_silent", WARNING, f"v{number}"))
        operator.passes(60, *holding)
    operator.passes(2 * HOUR, *holding)
    assert len(operator.told) == 120
    for at, _ in operator.messages:
        assert sum(at - HOUR < other <= at for other, _ in operator.messages) <= POLICY.per_hour
    before = len(operator.messages)
    operator.passes(100, *holding, finding())
    assert operator.messages[before][1][0].finding.code == "disk_low"


def test_something_critical_passes_when_messages_have_run_out() -> None:
    sent = tuple(START - 10.0 * i for i in range(POLICY.per_hour))
    operator = Operator()
    operator.state = AlertState(stepped_at=START, sent=sent)
    operator.passes(400, finding("rank_fell", WARNING))
    assert operator.told == []
    operator.passes(200, finding("rank_fell", WARNING), finding())
    assert operator.told == [(Change.RAISED, "disk_low"), (Change.RAISED, "rank_fell")]


# -- restarts, breaks, clocks ------------------------------------------------------------------------------------------


def test_a_restart_neither_repeats_nor_forgets() -> None:
    operator = Operator().passes(HOUR, finding())
    operator.now += 3 * HOUR  # the miner is down
    operator.passes(2 * HOUR, finding())
    assert operator.told == [(Change.RAISED, "disk_low")]
    operator.passes(HOUR)
    assert operator.told[1:] == [(Change.RECOVERED, "disk_low")]


def test_absence_that_proves_nothing_is_no_recovery() -> None:
    operator = Operator().passes(HOUR, finding("no_requests"))
    operator.passes(4 * HOUR, unproven=frozenset({"no_requests"}))
    assert len(operator.told) == 1
    operator.passes(240)
    assert len(operator.told) == 1
    operator.passes(200)
    assert operator.told[1] == (Change.RECOVERED, "no_requests")


def test_after_a_break_a_finding_must_hold_anew() -> None:
    operator = Operator().passes(40, finding())
    operator.now += DAY
    operator.passes(60, finding())
    assert operator.told == []
    assert operator.passes(60, finding()).told == [(Change.RAISED, "disk_low")]


def test_a_clock_set_back_loses_nothing() -> None:
    operator = Operator().passes(HOUR, finding())
    operator.now -= 5 * DAY
    operator.passes(5 * HOUR, finding()).passes(HOUR)
    assert [change for change, _ in operator.told] == [Change.RAISED, Change.RECOVERED]
    assert all(item.at >= item.began for _, items in operator.messages for item in items)


# -- quiet hours and digest --------------------------------------------------------------------------------------------

NIGHT = replace(POLICY, hours=Hours(quiet=(minutes("22:00"), minutes("06:30")), digest=minutes("08:00")))
MIDNIGHT = datetime(2026, 11, 3, tzinfo=UTC).timestamp()


def test_warnings_wait_for_the_morning_and_critical_ones_do_not() -> None:
    operator = Operator(NIGHT, MIDNIGHT).passes(HOUR, finding("rank_fell", WARNING), finding())
    assert operator.told == [(Change.RAISED, "disk_low")]
    operator.passes(6 * HOUR, finding("rank_fell", WARNING))
    assert operator.told == [(Change.RAISED, "disk_low"), (Change.RECOVERED, "disk_low"), (Change.RAISED, "rank_fell")]
    assert operator.messages[-1][0] == MIDNIGHT + 6.5 * HOUR - START


def test_what_came_and_went_in_the_night_is_in_the_digest_alone() -> None:
    operator = Operator(NIGHT, MIDNIGHT).passes(HOUR, finding("rank_fell", WARNING)).passes(7 * HOUR)
    assert operator.told == []
    assert [(e.change, e.finding.code) for e in operator.state.events] == [(Change.PASSED, "rank_fell")]


@pytest.mark.parametrize(
    ("clock", "zone", "quiet"),
    [("23:00", UTC, True), ("06:29", UTC, True), ("06:30", UTC, False), ("21:59", UTC, False),
     ("21:30", ZoneInfo("Europe/Berlin"), True), ("06:00", ZoneInfo("Europe/Berlin"), False)],
)  # fmt: skip
def test_quiet_hours_cross_midnight_in_their_zone(clock: str, zone: ZoneInfo, quiet: bool) -> None:
    hours = Hours(quiet=(minutes("22:00"), minutes("06:30")), zone=zone)
    assert hours.is_quiet(MIDNIGHT + 60 * minutes(clock)) is quiet


def test_one_digest_a_day_late_rather_than_never_and_none_at_first() -> None:
    state, due = digest_due(AlertState(), MIDNIGHT + 7 * HOUR, NIGHT.hours)
    assert not due
    days = []
    for hour in (7.9, 8.0, 8.1, 20.0, 31.9, 32.1, 33.0, 24 * 4 + 15.0, 24 * 4 + 16.0):
        state, due = digest_due(state, MIDNIGHT + hour * HOUR, NIGHT.hours)
        days += [hour] if due else []
    assert days == [8.0, 32.1, 24 * 4 + 15.0]
    assert not digest_due(state, MIDNIGHT - 3 * DAY, NIGHT.hours)[1]
    wrong, due = digest_due(state, MIDNIGHT + 20_000 * DAY, NIGHT.hours)
    assert due
    right, due = digest_due(wrong, MIDNIGHT + 10 * HOUR, NIGHT.hours)
    assert not due
    assert digest_due(right, MIDNIGHT + DAY + 10 * HOUR, NIGHT.hours)[1]
    assert not digest_due(AlertState(digest_day="2000-01-01"), MIDNIGHT, Hours(digest=None))[1]


@pytest.mark.parametrize("month", [3, 10])
def test_a_digest_each_day_of_the_months_in_which_clocks_change(month: int) -> None:
    hours = Hours(digest=minutes("02:30"), zone=ZoneInfo("Europe/Berlin"))
    state, now, count = AlertState(), datetime(2026, month, 20, tzinfo=UTC).timestamp(), 0
    for _ in range(12 * 24 * 4):
        state, due = digest_due(state, now, hours)
        count += due
        now += 900
    assert count == 12


def test_settings_become_a_policy() -> None:
    settings = AlertSettings(quiet_hours="22:30-07:00", digest="never", time_zone="Europe/Berlin")
    policy = policy_of(replace(settings, reminder_hours=2.0))
    assert policy.hours == Hours((1350, 420), None, ZoneInfo("Europe/Berlin"))
    assert policy.reminder_after(CRITICAL) == 2 * HOUR
    assert policy_of(AlertSettings()).hours == Hours(None, 480, None)


# -- any history at all ------------------------------------------------------------------------------------------------

_step = st.tuples(
    st.sampled_from([20.0, 20.0, 20.0, 60.0, 200.0, 400.0, 7200.0, 100_000.0, -500.0]),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(Severity)), max_size=3),
    st.sets(st.sampled_from(["a", "b", "c"]), max_size=1),
)


@given(st.lists(_step, max_size=60), st.sampled_from([POLICY, NIGHT, replace(POLICY, reminder_s=0, per_hour=2)]))
def test_whatever_happens_the_story_is_consistent(
    steps: list[tuple[float, dict[str, Severity], set[str]]], policy: AlertPolicy
) -> None:
    state, now = AlertState(), START
    open_: dict[str, Severity] = {}
    for seconds, holds, unsure in steps:
        now += seconds
        findings = [finding(code, severity) for code, severity in holds.items()]
        state, items = advance(state, findings, now, policy, unproven=frozenset(unsure))
        assert read_state(json.loads(json.dumps(state.to_json()))) == state
        assert len({item.finding.code for item in items}) == len(items)
        for item in items:
            assert item.finding.severity >= WARNING
            if item.change is Change.RECOVERED:
                assert item.finding.code not in holds
                assert item.finding.code not in unsure
                del open_[item.finding.code]
                continue
            assert holds[item.finding.code] >= WARNING
            assert (item.change is Change.RAISED) == (item.finding.code not in open_)
            if item.change is Change.WORSE:
                assert open_[item.finding.code] is WARNING or item.finding.severity is CRITICAL
            open_[item.finding.code] = max(item.finding.severity, open_.get(item.finding.code, WARNING))
        assert {t.finding.code for t in state.active} == set(open_)
        assert len(state.sent) <= 2 * policy.per_hour


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_a_damaged_memory_is_an_error_of_four_kinds(value: object) -> None:
    fields = {**AlertState().to_json(), "tracked": value}
    try:
        state = read_state(fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        return
    assert state.tracked == {}


# -- on the simulated subnet -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warm() -> World:
    return World(1).run(8.0)


def watched(world: World, operator: Operator, blocks: int) -> None:
    seen = world.observe()
    operator.now = seen.now
    state, items = advance(operator.state, judge(seen), seen.now, operator.policy, unproven=unproven(seen))
    operator.state = state
    if items:
        operator.messages.append((seen.now, items))
    world.advance(blocks)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_trouble_alerts_once(warm: World, scenario: Scenario) -> None:
    """What is found within the tempo is told within the next minutes, and not again while it lasts."""
    world, operator = warm.fork(), Operator(replace(POLICY, gap_s=1500.0, reminder_s=0.0))
    watched(world, operator, 5)
    scenario.begin(world)
    waited = since_true = 0
    while since_true <= 1.5 * TEMPO and waited < scenario.most_blocks:
        watched(world, operator, scenario.step)
        if scenario.each_step is not None:
            scenario.each_step(world)
        waited += scenario.step
        since_true += scenario.step if since_true or scenario.is_true(world) else 0
    told = Counter(operator.told)
    if rule_of(scenario.code).severity is Severity.INFO:
        assert told == ({(Change.RAISED, scenario.code): 1} if rule_of(scenario.code).news else {})
        return
    assert told[(Change.RAISED, scenario.code)] >= 1
    keys = Counter((i.change, i.finding.key) for _, items in operator.messages for i in items)
    assert {key: count for key, count in keys.items() if count > 1} == {}
    assert (Change.RECOVERED, scenario.code) not in told


def test_thirty_healthy_days_are_quiet() -> None:
    """A look each twenty minutes, with restarts; only the digests come."""
    world, operator = World(4), Operator(replace(POLICY, gap_s=1500.0, hours=Hours(digest=480)))
    digests = 0
    for step in range(30 * 72):
        watched(world, operator, 100)
        operator.state, due = digest_due(operator.state, operator.now, operator.policy.hours)
        digests += due
        if step % 18 == 0:
            world.downsample()
        if step in (500, 1500):
            world.restart()
    assert operator.messages == []
    assert digests in (29, 30)


def test_a_digest_sums_up_the_day(warm: World) -> None:
    figures, over = digest(warm.observe(), AlertState())
    named = dict(figures)
    assert named["standing"].startswith("UID ")
    assert "alpha a day" in named["emission"]
    assert named["requests"].endswith("answered")
    assert "roadwork" in named["answers"]
    assert named["model"].startswith("street-b 1.4.0")
    assert named["wrong now"] == "nothing"
    assert over == ()
    assert "retraining" not in named
    assert digest(World(3).observe(), AlertState())[0][-1] == ("wrong now", "nothing")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no run yet"),
        ({"last": RunView("a", "promoted", START - HOUR, START, version="1.6.0")}, "promoted 1.6.0 0 s ago"),
        (
            {"last": RunView("a", "failed", START - HOUR, START, "train", "disk")},
            "failed 0 s ago, step train: disk",
        ),
        ({"skipped": RunView("a", "nothing_to_do", START, START, reason="too few")}, "nothing to do 0 s ago: too few"),
        ({"paused_since": 0.0}, "paused since 1970-01-01 00:00 UTC"),
        ({"configured": False}, None),
        ({"problem": "it is damaged"}, None),
    ],
)
def test_a_digest_tells_what_came_of_the_night(changes: dict[str, Any], words: str | None) -> None:
    seen = Observation(now=START, hotkey="own", retrain=RetrainView(**changes))
    assert dict(digest(seen, AlertState())[0]).get("retraining") == words


PROMOTED = finding("retrain_promoted", Severity.INFO, subject="20261102-0200")


def test_good_news_is_told_once_and_its_end_is_not() -> None:
    operator = Operator().passes(DAY + HOUR, PROMOTED).passes(HOUR).passes(HOUR, replace(PROMOTED, subject="next"))
    assert operator.told == [(Change.RAISED, "retrain_promoted")] * 2


def test_good_news_of_the_night_waits_for_the_morning() -> None:
    policy = replace(POLICY, hours=Hours(quiet=(11 * 60, 13 * 60)))
    operator = Operator(policy).passes(2 * HOUR, PROMOTED)
    assert operator.told == [(Change.RAISED, "retrain_promoted")]
    assert operator.messages[0][0] == HOUR


def test_other_information_and_unwanted_news_are_not_told() -> None:
    assert Operator().passes(HOUR, finding("retrain_refused", Severity.INFO)).told == []
    assert Operator(policy_of(AlertSettings(news=False))).passes(HOUR, PROMOTED).told == []
