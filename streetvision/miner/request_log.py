"""What operators read about requests: a line per answer while they are rare, a summary when there are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord

Clock = Callable[[], float]


class RequestLog:
    """Listens to the axon's records. `clock` is monotonic seconds."""

    def __init__(
        self, clock: Clock, *, lines_per_minute: int = 60, stranger_lines: int = 10, summary_s: float = 60.0
    ) -> None:
        """Strangers have `stranger_lines` of their own a minute, so that they cannot crowd out the answers."""
        self._clock = clock
        self._summary_s = summary_s
        self._window_start = clock()
        self._budgets = {True: lines_per_minute, False: stranger_lines}
        self._left = dict(self._budgets)
        self._counts: Counter[tuple[int, str]] = Counter()
        self._latencies: list[float] = []

    def __call__(self, record: RequestRecord) -> None:
        """Count one request and log it if this minute has lines left."""
        self.roll()
        self._counts[record.status, record.reason] += 1
        if record.prediction is not None:
            self._latencies.append(record.stages.total)
        if self._left[record.authenticated] > 0:
            self._left[record.authenticated] -= 1
            (logger.info if record.status == 200 else logger.warning)("{}", describe_request(record))
        else:
            logger.debug("{}", describe_request(record))

    def roll(self) -> None:
        """Close the minute if it is over; called with every request and once a second."""
        if self._clock() - self._window_start < self._summary_s:
            return
        if 0 in self._left.values():
            logger.info("the last minute, lines saved: {}", self.summary())
        self._window_start = self._clock()
        self._left = dict(self._budgets)
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
    who = f"UID {record.uid}" if record.uid is not None else (record.hotkey or "")
    if not record.authenticated:
        who = f"{record.remote} claiming to be {who}" if who else record.remote
    if record.prediction is None:
        return f"refused {who}: {record.status} {record.reason}"
    answer = record.prediction
    times = answer.timings
    headroom = f", {record.headroom:.1f} s to spare" if record.headroom is not None else ""
    lack = "" if answer.decoded is None else f" ({answer.decoded:.0%} of it, its file lacks the end)"
    return (
        f"answered {who}: {answer.probability:.3f} for {answer.width}x{answer.height}{lack} "
        f"in {record.stages.total * 1e3:.0f} ms "
        f"(decode {times.decode * 1e3:.0f}, queue {times.queue * 1e3:.0f}, model {times.inference * 1e3:.0f}){headroom}"
    )


def counts_line(registry: CollectorRegistry) -> str:
    """All requests since the start, strangers' included: `118 answered, 3 refused: 2 x 403 unknown_hotkey, ...`."""
    counts: Counter[tuple[str, str]] = Counter()
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == "streetvision_axon_requests_total":
                counts[sample.labels["status"], sample.labels["reason"]] += int(sample.value)
    answered = counts.pop(("200", "ok"), 0)
    counts.pop(("200", "greeting"), None)
    refused = ", ".join(f"{n} x {status} {reason}" for (status, reason), n in counts.most_common(8))
    return f"since the start {answered} answered, {counts.total()} refused" + (f": {refused}" if refused else "")
