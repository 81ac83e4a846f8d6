"""Traffic as a log has it: hour by hour, at its peak, and refused where it is too little."""

from __future__ import annotations

import pytest

from streetvision.cost.traffic import logged, measured_here, steady
from streetvision.errors import OperatorError
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.row import LogFilter

from ..conftest import Logbook

ALL = LogFilter()


def fill(logbook: Logbook, *moments: float, answered: bool = True) -> None:
    """A request at each of these seconds from the start."""
    start, records = logbook.moment, []
    for moment in moments:
        logbook.moment = start + moment - 1.0  # a record moves the clock by a second
        records.append(logbook.record(b"x", logbook.answer(0.7) if answered else None))
    logbook.write(*records)


def test_hours_and_the_peak(logbook: Logbook) -> None:
    burst = [5400.0 + n / 10 for n in range(50)]
    fill(logbook, 0.0, 600.0, 1200.0, *burst, 7200.0)
    with LogReader(logbook.folder) as reader:
        found = logged(reader, ALL)
    assert found.hourly == pytest.approx((3 / 3600, 50 / 3600))
    assert found.peak == pytest.approx(5.0)
    assert "54 requests in 2 h" in found.told


def test_an_hour_without_a_request_counts(logbook: Logbook) -> None:
    fill(logbook, 0.0, 3 * 3600.0)
    with LogReader(logbook.folder) as reader:
        assert logged(reader, ALL).hourly == pytest.approx((1 / 3600, 0.0, 0.0))


def test_less_than_an_hour_is_taken_for_one(logbook: Logbook) -> None:
    fill(logbook, *(n * 9.0 for n in range(101)))
    with LogReader(logbook.folder) as reader:
        assert logged(reader, ALL).hourly == pytest.approx((101 / 900,))


@pytest.mark.parametrize(("moments", "says"), [((), "no request"), ((0.0, 300.0), "only 5 min of requests")])
def test_too_little_is_one_sentence(logbook: Logbook, moments: tuple[float, ...], says: str) -> None:
    fill(logbook, *moments)
    with LogReader(logbook.folder) as reader, pytest.raises(OperatorError, match=f"{says}.*--per_second"):
        logged(reader, ALL)


def test_a_filter_holds(logbook: Logbook) -> None:
    fill(logbook, 0.0, 3600.0, 7200.0)
    with LogReader(logbook.folder) as reader:
        first = reader.span(ALL)
        assert first is not None
        assert len(logged(reader, LogFilter(since=first[0] + 1)).hourly) == 1


def test_the_models_share_of_a_batch(logbook: Logbook) -> None:
    """The logbook's answers come in batches of two that take 4 ms; a refusal took none."""
    fill(logbook, 0.0, 1.0)
    with LogReader(logbook.folder) as reader:
        here = measured_here(reader, ALL)
    assert here is not None
    assert here.seconds == pytest.approx(0.002)
    assert here.answers == 2


def test_refusals_alone_measure_nothing(logbook: Logbook) -> None:
    fill(logbook, 0.0, answered=False)
    with LogReader(logbook.folder) as reader:
        assert measured_here(reader, ALL) is None


def test_factors_keep_the_shape() -> None:
    twice = steady(0.5).times(2)
    assert (twice.mean, twice.peak) == (1.0, 1.0)
    assert twice.month == pytest.approx(730 * 3600)
