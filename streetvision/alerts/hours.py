"""When the operator sleeps and when the digest is due: pure functions of Unix time and a zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of day in minutes after midnight."""

    quiet: tuple[int, int] | None = None
    """From and until, over midnight where the second is the smaller; None: never quiet."""
    digest: int | None = None
    """None: no digest."""
    zone: tzinfo | None = UTC
    """None: this machine's."""

    def is_quiet(self, now: float) -> bool:
        """Whether warnings wait."""
        if self.quiet is None:
            return False
        start, end = self.quiet
        minute = self._minute(now)
        return start <= minute < end if start < end else minute >= start or minute < end

    def day(self, now: float) -> str:
        """The date of the digest that is due by now: that of yesterday before its time of day."""
        local = self._local(now)
        ordinal = local.toordinal() - (self.digest is None or self._minute(now) < self.digest)
        return datetime.fromordinal(max(1, ordinal)).date().isoformat()

    def _local(self, now: float) -> datetime:
        moment = datetime.fromtimestamp(now, UTC)
        return moment.astimezone(self.zone)

    def _minute(self, now: float) -> int:
        local = self._local(now)
        return 60 * local.hour + local.minute


def minutes(clock: str) -> int:
    """Minutes after midnight of `HH:MM`; ValueError for anything else."""
    hour, minute = clock.split(":")
    return 60 * int(hour) + int(minute)
