"""Every request is watched at any rate that a subnet reaches; in a flood a sample of each kind is."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.monitor.sampler import PER_SECOND, RequestSampler

RECORD = RequestRecord(
    dialect=Dialect.LEGACY, hotkey="v1", uid=1, stake=1.0, authenticated=True, status=200, reason="ok", image=None,
    prediction=None, arrival=1.8e9, headroom=5.0, stages=StageTimings(0.0, 0.0, 0.0, 0.0), remote="",
)  # fmt: skip
FAILED = replace(RECORD, status=503, reason="overloaded")
REFUSED = replace(RECORD, status=401, reason="signature", authenticated=False)


def test_all_of_them_up_to_the_rate() -> None:
    sampler = RequestSampler(CollectorRegistry())
    records = [replace(RECORD, arrival=1.8e9 + number / PER_SECOND) for number in range(10 * PER_SECOND)]
    assert all(sampler.admits(record) for record in records)


def test_a_flood_is_a_sample_of_each_kind_and_is_counted() -> None:
    registry = CollectorRegistry()
    sampler = RequestSampler(registry, most=5)
    flood = [*[REFUSED, FAILED] * 50, RECORD]
    assert [record.status for record in flood if sampler.admits(record)] == [401, 503] * 5 + [200]
    assert [sampler.admits(replace(RECORD, arrival=1.8e9 + second)) for second in (1, 2)] == [True, True]
    assert registry.get_sample_value("streetvision_monitor_unwatched_requests_total") == 90


def test_a_clock_set_back_opens_it_anew() -> None:
    sampler = RequestSampler(CollectorRegistry(), most=1)
    arrivals = (1.8e9, 1.8e9, 1.7e9, 1.7e9)
    assert [sampler.admits(replace(RECORD, arrival=arrival)) for arrival in arrivals] == [True, False, True, False]
