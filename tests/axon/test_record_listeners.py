"""Who hears of a request: in order, each of them, whatever another does with it."""

from __future__ import annotations

from dataclasses import replace

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.record_listeners import RecordListeners
from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect

RECORD = RequestRecord(
    dialect=Dialect.LEGACY, hotkey="v1", uid=1, stake=1.0, authenticated=True, status=200, reason="ok", image=None,
    prediction=None, arrival=1.8e9, headroom=5.0, stages=StageTimings(0.1, 0.2, 0.4, 0.8), remote="",
)  # fmt: skip


def failures(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("streetvision_axon_hook_failures_total")


def test_each_is_told_in_order_though_those_before_it_raise() -> None:
    told: list[str] = []
    said: list[str] = []
    logger.add(said.append, format="{message}", level="ERROR")

    def breaks(_: RequestRecord) -> None:
        told.append("broken")
        raise KeyError("a defect")

    registry = CollectorRegistry()
    listeners = RecordListeners(
        (breaks, lambda _: told.append("first")),
        registry,
        sampled=(lambda _: told.append("second"), breaks, lambda _: told.append("third")),
        clock=lambda: 0.0,
    )
    listeners.tell(RECORD)
    assert told == ["broken", "first", "second", "broken", "third"]
    assert failures(registry) == 2
    for _ in range(50):
        listeners.tell(RECORD)
    assert failures(registry) == 102
    assert len([line for line in said if line.startswith("a listener of requests failed: KeyError('a defect')")]) == 5


def test_only_some_hear_of_samples_and_the_sampler_is_asked_once() -> None:
    every: list[int] = []
    sampled: list[int] = []
    asked: list[int] = []

    def admits(record: RequestRecord) -> bool:
        asked.append(record.status)
        return record.status == 200

    def hear(record: RequestRecord) -> None:
        sampled.append(record.status)

    listeners = RecordListeners(
        (lambda record: every.append(record.status),), CollectorRegistry(), sampled=(hear, hear), admits=admits
    )
    for status in (200, 503, 401):
        listeners.tell(replace(RECORD, status=status))
    assert every == asked == [200, 503, 401]
    assert sampled == [200, 200]


def test_the_stages_add_up() -> None:
    assert RECORD.stages.total == 0.1 + 0.2 + 0.4 + 0.8
    assert StageTimings().total == 0.0
