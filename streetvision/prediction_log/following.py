"""New rows as they come, as `tail -f` gives lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter, LogRow

INTERVAL_S = 0.5


def follow(
    reader: LogReader,
    choice: LogFilter,
    *,
    after_id: int,
    sleep: Callable[[float], None],
    reopen: Callable[[], LogReader],
    interval: float = INTERVAL_S,
) -> Iterator[LogRow]:
    """Yield rows above `after_id` for ever, asking again every `interval` seconds; raises OperatorError.

    When the file gave way to another (the miner sets a damaged one aside), `reopen` gives the reader of that one, or
    raises OperatorError while it is not there yet; its rows are yielded from the first.
    """
    while True:
        newest = reader.last_id()
        for row in reader.rows(choice, after_id=after_id):
            newest = max(newest, row.id)
            yield row
        after_id = max(after_id, newest)
        sleep(interval)
        if not reader.in_place:
            try:
                fresh = reopen()
            except OperatorError:
                continue
            reader.close()
            reader, after_id = fresh, 0
