"""The newest requests from the prediction log: what the miner knew of its callers before it was started anew."""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter
from streetvision.prediction_log.schema import DATABASE
from streetvision.status.samples import MOST, Sample, sample_of_row


def remembered(folder: Path, since: float, most: int = MOST) -> tuple[Sample, ...]:
    """Requests since then, at most the newest `most`, oldest first; none without a log in `folder`.

    Reads the disk: for a thread. A log that cannot be read is told in the miner's log and counts as none.
    """
    if not (folder / DATABASE).is_file():
        return ()
    try:
        with LogReader(folder) as reader:
            rows = list(reader.rows(LogFilter(since=since), limit=most, newest_first=True))
    except OperatorError as error:
        logger.warning("status: requests of before are not counted: {}", error)
        return ()
    return tuple(sample_of_row(row) for row in reversed(rows))
