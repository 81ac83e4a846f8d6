"""The planner, call by call: who is in a chunk, how long it may take, who is answered when."""

from __future__ import annotations

from math import inf

import pytest

from streetvision.engine.planner import CHUNK_SECONDS, MARGIN, PATIENCE, STALE_AFTER, Chunk, ViewPlanner

from .costs import seeded


def planner(members: int = 1, max_seconds: float = 1.0) -> ViewPlanner[str]:
    return ViewPlanner([seeded() for _ in range(members)], max_seconds=max_seconds, safety=1.0)


def rows(chunk: Chunk[str] | None) -> list[tuple[str, int]]:
    assert chunk is not None
    return [(improving.item, place) for improving, place in chunk.rows]


def test_passes_over_one_member_share_a_chunk_in_declared_order() -> None:
    plan = planner(members=2)
    plan.add("a", (0, 0, 0, 1, 0), deadline=9.0, now=0)
    assert plan.ready(0) == []
    steps = []
    for step in range(3):
        chunk = plan.next_chunk(step / 10)
        assert chunk is not None
        steps.append((chunk.member, rows(chunk)))
        plan.finished(chunk, step / 10, 0.05)
    # Three rows would be padded to four, which costs less than two and one.
    assert steps == [(0, [("a", 0), ("a", 1), ("a", 2)]), (1, [("a", 3)]), (0, [("a", 4)])]
    assert plan.next_chunk(0.3) is None
    assert [improving.done for improving in plan.ready(0.3)] == [5]


def test_who_has_seen_the_least_goes_first_and_all_in_turn() -> None:
    plan = planner()
    first = plan.add("first", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    plan.finished(chunk, 0.1, 0.1)
    assert first.done == 16
    plan.add("second", (0,) * 5, deadline=9.0, now=0.1)
    assert rows(plan.next_chunk(0.1))[:3] == [("second", 0), ("first", 16), ("second", 1)]


def test_a_chunk_holds_the_runner_no_longer_than_it_may() -> None:
    plan = ViewPlanner[str]([seeded(a=0.05, b=0.0)], max_seconds=9.0, safety=1.0)
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    assert len(chunk.rows) == 4
    assert chunk.seconds <= CHUNK_SECONDS
    slow = ViewPlanner[str]([seeded(a=0.5, b=0.0)], max_seconds=9.0, safety=1.0)
    slow.add("a", (0,) * 30, deadline=9.0, now=0)
    assert rows(slow.next_chunk(0)) == [("a", 0)]


def test_a_chunk_is_done_before_it_must_be() -> None:
    plan = planner()
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    assert len(rows(plan.next_chunk(0, by=0.070))) == 4  # eight would take 0.100
    assert plan.next_chunk(0, by=0.029) is None


def test_nobody_is_in_a_chunk_that_ends_too_late_for_it() -> None:
    plan = planner()
    plan.add("tight", (0,) * 9, deadline=0.065 + MARGIN, now=0)
    plan.add("loose", (0,) * 30, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    assert {improving.item for improving, _ in chunk.rows} == {"loose"}
    assert [improving.item for improving in plan.ready(0.1)] == ["tight"]


def test_an_answer_in_hand_leaves_before_its_deadline_or_after_the_longest_wait() -> None:
    plan = planner()
    plan.add("tight", (0,) * 3, deadline=0.5 + MARGIN, now=0)
    plan.add("loose", (0,) * 3, deadline=9.0, now=0)
    assert plan.next_ready() == pytest.approx(0.5)
    assert plan.ready(0.46) == []
    assert [improving.item for improving in plan.ready(0.48)] == ["tight"]  # one more takes 0.030
    assert plan.next_ready() == pytest.approx(1.0)
    assert [improving.item for improving in plan.ready(0.98)] == ["loose"]
    assert plan.next_ready() is None


def test_who_would_wait_too_long_for_others_is_answered() -> None:
    plan = planner()
    plan.add("a", (0,) * 3, deadline=9.0, now=0)
    assert plan.ready(0, work=PATIENCE - 0.01) == []
    plan.give_way(0.1)
    assert plan.ready(0, work=PATIENCE - 0.11) == []
    assert [improving.item for improving in plan.ready(0, work=PATIENCE - 0.09)] == ["a"]


def test_progress_buys_patience() -> None:
    plan = planner()
    plan.add("a", (0,) * 30, deadline=9.0, now=0)
    plan.give_way(0.2)
    chunk = plan.next_chunk(0.2)
    assert chunk is not None
    plan.finished(chunk, 0.4, 0.2)
    plan.give_way(0.2)
    assert plan.ready(0.6) == []


def test_work_that_leaves_no_time_for_a_view_counts() -> None:
    plan = planner()
    plan.add("a", (0,), deadline=0.2 + MARGIN, now=0)
    assert plan.ready(0, work=0.16) == []
    assert [improving.item for improving in plan.ready(0, work=0.18)] == ["a"]


def test_work_that_nobody_waits_for_loses_no_view_to_others() -> None:
    plan = ViewPlanner[str]([seeded()], max_seconds=inf)
    plan.add("a", (0,) * 3, deadline=600.0, now=0)
    plan.give_way(100.0)
    assert plan.ready(0, work=100.0) == []
    assert plan.allowance(0, 600.0, work=0, others=8).passes((0,) * 64) == 64


def test_a_failed_chunk_ends_the_views_of_its_requests_alone() -> None:
    plan = planner()
    plan.add("a", (0,) * 3, deadline=9.0, now=0)
    chunk = plan.next_chunk(0)
    assert chunk is not None
    plan.add("b", (0,) * 3, deadline=9.0, now=0)
    plan.finished(chunk, 0.1, None)
    assert [(improving.item, improving.done) for improving in plan.ready(0.1)] == [("a", 0)]
    assert len(plan) == 1


def test_a_caller_that_left_is_forgotten() -> None:
    plan = planner()
    plan.add("gone", (0,) * 3, deadline=9.0, now=0)
    stays = plan.add("stays", (0,) * 3, deadline=9.0, now=0)
    plan.drop(lambda item: item == "gone")
    assert {item for item, _ in rows(plan.next_chunk(0))} == {"stays"}
    assert plan.clear() == [stays]
    assert plan.next_chunk(0) is None


def test_one_slow_spell_does_not_end_views_for_ever() -> None:
    plan = planner(members=2)
    for _ in range(20):
        plan.add("a", (1,), deadline=9.0, now=0)
        chunk = plan.next_chunk(0)
        if chunk is None:
            break
        plan.finished(chunk, 0, 60.0)
        plan.ready(0)
    plan.add("soon after", (1,), deadline=9.0, now=1)
    assert [improving.item for improving in plan.ready(1)] == ["soon after"]
    later = 1 + STALE_AFTER
    plan.add("later", (1,), deadline=99.0, now=later)
    assert plan.ready(later) == []
    assert rows(plan.next_chunk(later)) == [("later", 0)]


def test_an_idle_miner_prepares_all_and_a_busy_one_fewer() -> None:
    plan = planner()
    members = (0,) * 12
    idle = plan.allowance(0, 9.0, work=0, others=0)
    assert idle.passes(members) == 12
    counts = [plan.allowance(0, 9.0, work=0, others=others).passes(members) for others in range(200)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1
    assert plan.allowance(0, 9.0, work=9.0, others=0).passes(members) == 1
    assert (
        plan.allowance(0, 0.05 + MARGIN, work=0, others=0).passes(members) == 2
    )  # 0.020 are left, a row costs 0.01125
    assert plan.allowance(0, 0.01, work=0, others=0).passes(members) == 1


def test_no_time_for_views_means_one() -> None:
    assert planner(max_seconds=0.0).allowance(0, 9.0, work=0, others=0).passes((0, 0)) == 1
