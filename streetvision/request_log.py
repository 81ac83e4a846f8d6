"""What operators read about requests: a line per answer while they are rare, a summary when there are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from loguru import logger

from streetvision.axon.records import RequestRecord

Clock = Callable[[], float]


class RequestLog:
    """Listens to the axon's records. `clock` is monotonic seconds."""

    def __init__(self, clock: Clock, *, lines_per_minute: int = 60, summary_s: float = 60.0) -> None:
        self._clock = clock
        self._summary_s = summary_s
        self._window_start = clock()
        self._lines_left = self._lines_per_minute = lines_per_minute
        self._counts: Counter[tuple[int, str]] = Counter()
        self._latencies: list[float] = []

    def __call__(self, record: RequestRecord) -> None:
        """Count one request and log it if this minute has lines left."""
        self.roll()
        self._counts[record.status, record.reason] += 1
        if record.prediction is not None:
            self._latencies.append(_latency(record))
        if self._lines_left > 0:
            self._lines_left -= 1
            (logger.info if record.status == 200 else logger.warning)("{}", describe_request(record))
        else:
            logger.debug("{}", describe_request(record))

    def roll(self) -> None:
        """Close the minute if it is over; called with every request and by the neuron's clock."""
        if self._clock() - self._window_start < self._summary_s:
            return
        if self._lines_left == 0:
            logger.info("the last minute, lines saved: {}", self.summary())
        self._window_start = self._clock()
        self._lines_left = self._lines_per_minute
        self._counts.clear()
        self._latencies.clear()

    def summary(self) -> str:
        """`118 answered (median 41 ms), 3 refused: 2 x 401 signature, 1 x 503 overloaded`."""
        answered = sum(n for (status, _), n in self._counts.items() if status == 200)
        refused = [f"{n} x {status} {reason}" for (status, reason), n in self._counts.most_common() if status != 200]
        median = sorted(self._latencies)[len(self._latencies) // 2] if self._latencies else 0.0
        text = f"{answered} answered (median {median * 1e3:.0f} ms)"
        return text + (f", {self._counts.total() - answered} refused: {', '.join(refused)}" if refused else "")


def describe_request(record: RequestRecord) -> str:
    """One line about one request: who, what was answered, where the time went, how much was left."""
    who = f"UID {record.uid}" if record.uid is not None else (record.hotkey or record.remote)
    if record.prediction is None:
        return f"refused {who}: {record.status} {record.reason}"
    answer = record.prediction
    times = answer.timings
    headroom = f", {record.headroom:.1f} s to spare" if record.headroom is not None else ""
    return (
        f"answered {who}: {answer.probability:.3f} for {answer.width}x{answer.height} "
        f"in {_latency(record) * 1e3:.0f} ms "
        f"(decode {times.decode * 1e3:.0f}, queue {times.queue * 1e3:.0f}, model {times.inference * 1e3:.0f}){headroom}"
    )


def _latency(record: RequestRecord) -> float:
    stages = record.stages
    return stages.admission + stages.body + stages.predict + stages.reply
