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


def test_all_of_them_up_to_the_rate_and_by_every_listener() -> None:
    first: list[RequestRecord] = []
    second: list[RequestRecord] = []
    sampler = RequestSampler((first.append, second.append), CollectorRegistry())
    for number in range(10 * PER_SECOND):
        sampler(replace(RECORD, arrival=1.8e9 + number / PER_SECOND))
    assert len(first) == len(second) == 10 * PER_SECOND


def test_a_flood_is_a_sample_of_each_kind_and_is_counted() -> None:
    heard: list[RequestRecord] = []
    registry = CollectorRegistry()
    sampler = RequestSampler((heard.append,), registry, most=5)
    for _ in range(50):
        sampler(REFUSED)
        sampler(FAILED)
    sampler(RECORD)
    assert [record.status for record in heard] == [401, 503] * 5 + [200]
    for second in (1, 2):
        sampler(replace(RECORD, arrival=1.8e9 + second))
    assert len(heard) == 13
    assert registry.get_sample_value("streetvision_monitor_unwatched_requests_total") == 90


def test_a_clock_set_back_opens_it_anew() -> None:
    heard: list[RequestRecord] = []
    sampler = RequestSampler((heard.append,), CollectorRegistry(), most=1)
    for arrival in (1.8e9, 1.8e9, 1.7e9, 1.7e9):
        sampler(replace(RECORD, arrival=arrival))
    assert [record.arrival for record in heard] == [1.8e9, 1.7e9]
