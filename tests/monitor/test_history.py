"""History: kept, downsampled, re-read, and never in the way of anything."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from simulation.subnet import OWN, Subnet

from streetvision.base.sqlite import migrate, version_of
from streetvision.chain.metagraph import MetagraphSnapshot, is_other_chain
from streetvision.errors import OperatorError
from streetvision.monitor.history import MAX_WAITING, History, read_history
from streetvision.monitor.history_database import (
    DATABASE,
    HISTORY_SCHEMA,
    MIGRATIONS,
    downsampled_buckets,
    downsampled_points,
)
from streetvision.monitor.offline import observe_offline
from streetvision.monitor.point import HistoryPoint, point_of
from streetvision.monitor.rules import judge
from streetvision.monitor.traffic import merged
from streetvision.status.files import last_hotkey

Make = Callable[..., Any]
NOW = 1.795e9


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def subnet() -> Subnet:
    return Subnet(3, uids=64)


def opened(folder: Path, clock: Clock | None = None, **kinds: Any) -> History:
    return History(folder, OWN, 72, now=clock or Clock(NOW), **kinds)


def later(history: History, clock: Clock, subnet: Subnet, days: int) -> None:
    """So much time, as told by the clock and by blocks."""
    clock.now += days * 86_400
    block = history.points[-1].block + days * 7200
    history.add(replace(subnet.snapshot(clock.now), block=block))


def test_points_and_traffic_survive_a_restart(tmp_path: Path, subnet: Subnet, bucket: Make) -> None:
    before = opened(tmp_path)
    for _ in range(5):
        subnet.advance(5)
        before.add(subnet.snapshot(subnet.time))
    odd = bucket(subnet.time, 7, failed={"runner": 2}, rejected={"stale_nonce": 1})
    before.add_traffic([odd])
    before.close()
    after = opened(tmp_path)
    assert after.points == ()
    after.flush()
    assert after.points == before.points
    assert after.buckets == (odd,)
    assert read_history(tmp_path, OWN, 72) == (before.points, (odd,))
    assert read_history(tmp_path, "another", 72) == ((), ())
    after.close()


def test_what_came_before_the_first_flush_follows_what_the_file_remembers(tmp_path: Path, subnet: Subnet) -> None:
    first = opened(tmp_path)
    first.add(subnet.snapshot(subnet.time))
    first.close()
    second = opened(tmp_path)
    subnet.advance(5)
    second.add(subnet.snapshot(subnet.time))
    second.flush()
    assert [p.block for p in second.points] == [6_000_000, 6_000_005]
    second.close()
    assert len(read_history(tmp_path, OWN, 72)[0]) == 2


def test_registrations_are_counted_since_the_point_before(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    history.add(subnet.snapshot(subnet.time))
    subnet.registrations_per_day = 0
    subnet.block += 5
    subnet.register("miner-1")
    subnet.register("miner-2")
    history.add(subnet.snapshot(subnet.time + 60))
    history.add(subnet.snapshot(subnet.time + 120))
    assert [point.registrations for point in history.points[1:]] == [2, 0]


def at(subnet: Subnet, block: int, time: float, **changes: Any) -> MetagraphSnapshot:
    return replace(subnet.snapshot(time), block=block, **changes)


def blocks(points: Iterable[HistoryPoint]) -> list[int]:
    return [point.block for point in points]


def test_a_clock_set_back_leaves_one_order(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    history.add(subnet.snapshot(NOW - 2000))
    history.add(subnet.snapshot(NOW - 1000))
    history.flush()
    history.add(subnet.snapshot(NOW - 1500))
    assert [p.time for p in history.points] == [NOW - 2000, NOW - 1500]
    history.close()
    assert read_history(tmp_path, OWN, 72)[0] == history.points


def test_a_node_that_lags_takes_nothing_back_and_adds_nothing(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    for n in range(500):
        history.add(at(subnet, 100 + n, NOW + n, chain="1:a"))
    history.flush()
    assert history.add(at(subnet, 579, NOW + 600, chain="1:a")) is None
    assert history.add(at(subnet, 579, NOW + 1, chain="1:a")) is None, "nor does its time make anything the future"
    assert history.add(at(subnet, 579, NOW + 601)) is None, "nor one that does not say its chain"
    history.flush()
    assert len(history.points) == 500
    assert history.add(at(subnet, 599, NOW + 700, chain="1:a")) is not None
    history.close()
    assert blocks(read_history(tmp_path, OWN, 72)[0]) == [*range(100, 600), 599]


def test_a_longer_chain_takes_back_what_it_contradicts_alone(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    for n in range(4):
        history.add(at(subnet, 100 + 5 * n, NOW + n))
    history.flush()
    history.add(at(subnet, 120, NOW + 4))  # not written yet when it is taken back
    history.add(at(subnet, 125, NOW + 5, reorganised_from=115))
    assert blocks(history.points) == [100, 105, 110, 125]
    history.close()
    assert blocks(read_history(tmp_path, OWN, 72)[0]) == [100, 105, 110, 125]


def test_another_chain_begins_a_history_of_its_own_and_the_first_ones_stays(tmp_path: Path, subnet: Subnet) -> None:
    first = opened(tmp_path)
    first.add(at(subnet, 500, NOW, chain="1:a"))
    first.add(at(subnet, 505, NOW + 1, chain="1:a"))
    first.close()
    second = opened(tmp_path)
    second.add(at(subnet, 7, NOW + 2, chain="1:b"))
    second.close()
    assert blocks(second.points) == blocks(read_history(tmp_path, OWN, 72)[0]) == [7]
    third = opened(tmp_path)
    third.add(at(subnet, 510, NOW + 3, chain="1:a"))
    third.close()
    assert blocks(third.points) == blocks(read_history(tmp_path, OWN, 72)[0]) == [500, 505, 510]


def test_a_restart_on_a_node_that_lags_goes_on_from_the_file(tmp_path: Path, subnet: Subnet) -> None:
    before = opened(tmp_path)
    before.add(at(subnet, 500, NOW, chain="1:a"))
    before.close()
    after = opened(tmp_path)
    after.add(at(subnet, 480, NOW + 60, chain="1:a"))
    after.add(at(subnet, 490, NOW + 70, chain="1:a"))
    after.flush()
    assert blocks(after.points) == [500]
    after.add(at(subnet, 501, NOW + 80, chain="1:a"))
    after.close()
    assert blocks(read_history(tmp_path, OWN, 72)[0]) == [500, 501]


def test_without_a_miner_a_node_that_lags_is_told_and_not_believed(tmp_path: Path, subnet: Subnet) -> None:
    before = opened(tmp_path)
    before.add(at(subnet, 500, NOW, chain="1:a"))
    before.close()
    lost = at(subnet, 480, NOW + 60, chain="1:a", neurons=())
    seen = observe_offline(tmp_path, OWN, 72, NOW + 60, lost)
    assert (blocks(seen.points), seen.blocks_behind) == ([500], 20)
    assert [finding.code for finding in judge(seen)] == ["node_lags"]
    assert seen.latest is not None
    assert seen.latest.registered


@pytest.mark.parametrize("known", [None, "1:a"])
def test_a_mocked_chain_begins_anew_and_leaves_no_rows(tmp_path: Path, subnet: Subnet, known: str | None) -> None:
    """Those without a chain were written before it was kept."""
    before = opened(tmp_path, clocked=False)
    before.add(at(subnet, 500, NOW, chain=known))
    before.close()
    after = opened(tmp_path, clocked=False)
    after.add(at(subnet, 400, NOW + 60, chain="1:b"))
    after.close()
    assert blocks(after.points) == [400]
    with closing(sqlite3.connect(tmp_path / DATABASE)) as db:
        assert db.execute("SELECT block FROM points").fetchall() == [(400,)]


def test_a_file_of_before_the_chain_was_kept_is_read_and_continued(tmp_path: Path, subnet: Subnet) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as db:
        migrate(db, replace(HISTORY_SCHEMA, migrations=MIGRATIONS[:1]))
        old = asdict(point_of(at(subnet, 500, NOW), OWN, None))
        columns = [row[1] for row in db.execute("PRAGMA table_info(points)")]
        row = {"hotkey": OWN, "netuid": 72, **old}
        db.execute(f"INSERT INTO points VALUES ({', '.join('?' * len(columns))})", [row[name] for name in columns])
    assert [(p.block, p.chain) for p in read_history(tmp_path, OWN, 72)[0]] == [(500, None)]
    history = opened(tmp_path)
    assert history.add(at(subnet, 505, NOW + 60, chain="1:a")) is not None
    history.close()
    assert [(p.block, p.chain) for p in read_history(tmp_path, OWN, 72)[0]] == [(500, None), (505, "1:a")]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("1:a", "1:b", True), ("1:a", "1:a", False), ("1:a", "0:b", False), (None, "1:b", False), ("1:a", None, False)],
)
def test_two_chains_are_told_apart_by_the_hash_of_one_block(one: str | None, other: str | None, expected: bool) -> None:
    assert is_other_chain(one, other) is expected


def test_downsampling_by_age(point: Make) -> None:
    now = 1.8e9
    points = [
        point(0, time=now - age, block=int(7e6 - age / 12), epoch=int((7e6 - age / 12) // 360 * 360), registrations=1)
        for age in range(90 * 86_400, -1, -600)
    ]
    kept = downsampled_points(points, now)
    ages = [now - p.time for p in kept]
    assert sum(age <= 2 * 86_400 for age in ages) == 289
    assert sum(2 * 86_400 < age <= 30 * 86_400 for age in ages) == pytest.approx(28 * 20, abs=2)
    assert sum(age > 30 * 86_400 for age in ages) == pytest.approx(60, abs=2)
    assert sum(p.registrations for p in kept) == len(points)
    assert downsampled_points(kept, now) == kept


@pytest.mark.parametrize("days", [120, 30_000])
def test_a_clock_that_jumps_downsamples_nothing(days: float, point: Make, bucket: Make) -> None:
    points = tuple(point(0, time=NOW + 60 * i, block=6_000_000 + 5 * i, epoch=6_000_000) for i in range(500))
    buckets = tuple(bucket(NOW + 600 * i, 1) for i in range(100))
    now = NOW + days * 86_400
    assert downsampled_points(points, now) == points
    assert downsampled_buckets(buckets, now) == buckets
    # Nor does what was remembered while it stood wrong.
    late = replace(points[-1], time=now, block=points[-1].block + 5)
    assert downsampled_points((*points, late), now) == (*points, late)
    assert downsampled_buckets((*buckets, bucket(now, 1)), now + 600) == (*buckets, bucket(now, 1))


def test_a_deregistration_survives_downsampling(point: Make) -> None:
    lost = [point(0, time=t, epoch=1, uid=uid, registered_at=uid) for t, uid in ((1.0, 8), (2.0, None), (3.0, 9))]
    now = point(0, time=10 * 86_400.0, block=lost[-1].block + 72_000)
    assert [p.uid for p in downsampled_points([*lost, now], 10 * 86_400.0)][:3] == [8, None, 9]


def test_traffic_is_downsampled_to_sums(bucket: Make) -> None:
    rng = random.Random(1)
    buckets = [bucket(1.8e9 + i * 600, rng.randint(0, 40)) for i in range(60 * 144)]
    now = buckets[-1].start + 600
    kept = downsampled_buckets(buckets, now)
    assert len(kept) == pytest.approx(9 * 144 + 21 * 24 + 30, abs=4)
    before, after = merged(buckets, 0, 1), merged(kept, 0, 1)
    assert before == after
    assert sum(b.span for b in kept) == pytest.approx(60 * 86_400)
    assert downsampled_buckets(kept, now) == kept


@pytest.mark.parametrize("start", [0.0, NOW - 90 * 86_400.0])
def test_a_machine_that_starts_with_an_old_clock_forgets_nothing(
    tmp_path: Path, subnet: Subnet, bucket: Make, start: float
) -> None:
    history = opened(tmp_path)
    for day in range(5):
        history.add(replace(subnet.snapshot(NOW + day * 86_400), block=6_000_000 + 7200 * day))
        history.add_traffic(bucket(NOW + day * 86_400 + 600 * i, 1) for i in range(144))
    points, buckets = history.points, history.buckets
    wrong = replace(subnet.snapshot(start), block=6_036_000, block_time=NOW + 5 * 86_400.0)
    assert history.add(wrong) is None
    history.add_traffic([bucket(start, 1)])
    history.flush()
    assert (history.points, history.buckets) == (points, buckets)
    assert read_history(tmp_path, OWN, 72) == (points, buckets)
    right = replace(wrong, taken_at=NOW + 5 * 86_400.0, block=6_036_005)
    assert history.add(right) is not None
    history.close()


def test_what_a_clock_ahead_has_dated_goes_when_the_chain_says_that_it_is_right_now(
    tmp_path: Path, subnet: Subnet, bucket: Make
) -> None:
    history, ahead = opened(tmp_path), 4_070_908_800.0  # 2099
    history.add(replace(subnet.snapshot(NOW), block=6_000_000))
    for day in range(5):
        block = 6_000_100 + 7200 * day
        history.add(replace(subnet.snapshot(ahead + day * 86_400), block=block, block_time=NOW + day * 86_400))
        history.add_traffic(bucket(ahead + day * 86_400 + 600 * i, 1) for i in range(144))
    later = NOW + 5 * 86_400.0
    history.add(replace(subnet.snapshot(later), block=6_036_100, block_time=later - 12))
    history.add_traffic([bucket(later, 1)])
    assert [point.time for point in history.points] == [NOW, later]
    assert [held.start for held in history.buckets] == [later]


def test_the_file_is_downsampled_too(tmp_path: Path, subnet: Subnet, bucket: Make) -> None:
    clock = Clock(subnet.time)
    history = opened(tmp_path, clock)
    for _ in range(200):
        subnet.advance(36)
        history.add(subnet.snapshot(subnet.time))
    history.add_traffic(bucket(subnet.time + i * 600) for i in range(60))
    history.flush()
    assert len(history.points) == 200
    later(history, clock, subnet, 40)
    history.add_traffic([replace(bucket(subnet.time + 36_000, 1), span=40 * 86_400.0)])
    history.flush()
    assert len(history.points) < 10
    assert len(history.buckets) == 1
    assert read_history(tmp_path, OWN, 72) == (history.points, history.buckets)
    history.close()


def test_a_clock_set_back_does_not_put_off_the_next_downsampling(tmp_path: Path, subnet: Subnet) -> None:
    clock = Clock(NOW + 365 * 86_400)
    history = opened(tmp_path, clock)
    history.flush()
    clock.now = NOW
    for i in range(100):
        history.add(replace(subnet.snapshot(NOW + i), block=6_000_000 + i))
    later(history, clock, subnet, 40)
    history.flush()
    assert len(history.points) == 2
    history.close()


def test_a_locked_file_is_waited_for_and_told(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    history.flush()
    other = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    history.add(subnet.snapshot(subnet.time))
    history.flush()
    assert history.health().degraded == "locked"
    assert history.health().lost == 0
    other.execute("ROLLBACK")
    other.close()
    history.flush()
    assert history.health().degraded is None
    assert len(read_history(tmp_path, OWN, 72)[0]) == 1
    history.close()


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 4096])
def test_a_damaged_file_is_set_aside(tmp_path: Path, subnet: Subnet, damage: bytes) -> None:
    (tmp_path / DATABASE).write_bytes(damage)
    history = opened(tmp_path)
    history.add(subnet.snapshot(subnet.time))
    history.flush()
    assert history.health().degraded == "corrupt"
    history.flush()
    assert history.health().degraded is None
    assert [f.read_bytes() for f in tmp_path.glob("damaged-*.sqlite")] == [damage]
    assert len(read_history(tmp_path, OWN, 72)[0]) == 1
    history.close()


def test_a_row_of_nonsense_is_damage(tmp_path: Path, bucket: Make) -> None:
    history = opened(tmp_path)
    history.add_traffic([bucket(1.0)])
    history.close()
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute("UPDATE buckets SET body = '{\"no_such_field\": 1}'")
    db.close()
    with pytest.raises(OperatorError, match="cannot be read"):
        read_history(tmp_path, OWN, 72)
    again = opened(tmp_path)
    again.flush()
    assert again.health().degraded == "corrupt"
    again.close()


def test_a_folder_that_is_a_file_degrades_and_what_waits_is_bounded(
    tmp_path: Path, subnet: Subnet, bucket: Make
) -> None:
    (tmp_path / "monitor").write_text("in the way")
    history = opened(tmp_path / "monitor")
    history.add(subnet.snapshot(subnet.time))
    history.add_traffic(bucket(NOW - 9_000 + i) for i in range(MAX_WAITING + 7))
    history.flush()
    assert history.health().degraded == "io"
    assert history.health().lost == 7
    (tmp_path / "monitor").unlink()
    history.flush()
    assert history.health().degraded is None
    assert len(read_history(tmp_path / "monitor", OWN, 72)[1]) == MAX_WAITING
    history.close()


def test_memory_is_downsampled_without_a_file(tmp_path: Path, subnet: Subnet) -> None:
    (tmp_path / "monitor").write_text("in the way")
    clock = Clock(NOW)
    history = opened(tmp_path / "monitor", clock)
    for i in range(100):
        history.add(replace(subnet.snapshot(NOW + i), block=6_000_000 + i))
    later(history, clock, subnet, 40)
    history.flush()
    assert len(history.points) == 2


def test_a_newer_schema_is_left_alone(tmp_path: Path, subnet: Subnet) -> None:
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}")
    with sqlite3.connect(tmp_path / DATABASE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    history = opened(tmp_path)
    history.add(subnet.snapshot(subnet.time))
    history.close()
    logger.remove(handler)
    assert history.health().degraded == "newer_schema"
    assert not list(tmp_path.glob("damaged*"))
    (line,) = lines
    for ask in (lambda: read_history(tmp_path, OWN, 72), lambda: last_hotkey(tmp_path, 72)):
        with pytest.raises(OperatorError) as refused:
            ask()
        said = f"the monitor's history {tmp_path / DATABASE} has schema 99"
        assert said in str(refused.value)
        assert said in line
        assert "move that file away" in str(refused.value)
        assert "log" not in str(refused.value).replace(str(tmp_path), "")


def test_a_deleted_file_is_made_again(tmp_path: Path, subnet: Subnet) -> None:
    history = opened(tmp_path)
    history.add(subnet.snapshot(subnet.time))
    history.flush()
    for file in tmp_path.glob(f"{DATABASE}*"):
        file.unlink()
    history.add(subnet.snapshot(subnet.time + 60))
    history.flush()
    assert read_history(tmp_path, OWN, 72)[0] == history.points
    assert len(history.points) == 2
    history.close()


def test_every_migration_can_be_followed_by_another(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE, isolation_level=None) as db:
        migrate(db, HISTORY_SCHEMA)
        db.execute("INSERT INTO buckets VALUES ('own', 72, 1.0, 2.0, '{}')")
        migrate(db, replace(HISTORY_SCHEMA, migrations=(*MIGRATIONS, "ALTER TABLE buckets ADD COLUMN more TEXT")))
        assert version_of(db) == len(MIGRATIONS) + 1
        assert db.execute("SELECT start, more FROM buckets").fetchall() == [(1.0, None)]
    db.close()


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path, OWN, 72) == ((), ())


def test_block_times_of_the_mock_are_not_compared(tmp_path: Path, subnet: Subnet) -> None:
    snapshot = replace(subnet.snapshot(subnet.time), block_time=1.0)
    for clocked, expected in ((False, None), (True, subnet.time - 1.0)):
        point = opened(tmp_path, clocked=clocked).add(snapshot)
        assert point is not None
        assert point.clock_offset == expected
