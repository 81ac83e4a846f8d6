"""Whether a clock that stands earlier than what is remembered may take it back. Pure.

A day of it may go: a clock that ran ahead has been set right. For more somebody else must say that the clock is right
now, or a machine that starts in 1970 would forget everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.standing import BLOCKS_PER_DAY
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import TrafficBucket


def points_may_go(later: Sequence[HistoryPoint], snapshot: MetagraphSnapshot) -> bool:
    """Whether points that are dated after a newer snapshot are wrong; by blocks, or by the newest block's own time."""
    if not later or snapshot.block - later[0].block <= BLOCKS_PER_DAY:
        return True
    return snapshot.block_time is not None and abs(snapshot.taken_at - snapshot.block_time) <= HOUR


def buckets_may_go(later: Sequence[TrafficBucket], start: float, newest: HistoryPoint | None) -> bool:
    """Whether buckets that are dated after a newer one, from `start`, are wrong; the newest point may confirm it."""
    if sum(bucket.span for bucket in later) <= DAY:
        return True
    if newest is None or newest.clock_offset is None:
        return False
    return abs(newest.clock_offset) <= HOUR and abs(newest.time - start) <= DAY
