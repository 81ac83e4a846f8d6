"""All miners' metrics in one text: a label tells them apart, and one that is down shows as that."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streetvision.errors import OperatorError
from streetvision.fleet.keeper import Kept
from streetvision.fleet.metrics import merged, parsed


def text_of(value: float) -> str:
    registry = CollectorRegistry()
    Gauge("streetvision_standing_rank", "Rank", registry=registry).set(value)
    Counter("streetvision_axon_requests", "Requests", ["reason"], registry=registry).labels('a "b"\n').inc(value)
    Histogram("streetvision_request_seconds", "Seconds", buckets=(1.0, 2.0), registry=registry).observe(value)
    return generate_latest(registry).decode()


def samples(text: bytes) -> dict[tuple[str, str, str], float]:
    families = text_string_to_metric_families(text.decode())
    return {
        (one.name, one.labels.get("hotkey", ""), one.labels.get("reason", one.labels.get("le", ""))): one.value
        for family in families
        for one in family.samples
    }


def test_every_sample_says_whose_it_is() -> None:
    found = samples(merged({"hot1": parsed(text_of(1.0)), "hot2": parsed(text_of(5.0))}, {}))
    assert found["streetvision_standing_rank", "hot1", ""] == 1.0
    assert found["streetvision_standing_rank", "hot2", ""] == 5.0
    assert found["streetvision_axon_requests_total", "hot2", 'a "b"\n'] == 5.0
    assert found["streetvision_request_seconds_bucket", "hot1", "1.0"] == 1.0
    assert found["streetvision_request_seconds_sum", "hot2", ""] == 5.0
    assert all(hotkey for _, hotkey, _ in found)


def test_a_family_has_its_type_and_help_once() -> None:
    text = merged({"hot1": parsed(text_of(1.0)), "hot2": parsed(text_of(5.0))}, {}).decode()
    for line in ("# HELP streetvision_standing_rank Rank", "# TYPE streetvision_request_seconds histogram"):
        assert text.splitlines().count(line) == 1


def test_one_that_is_down_shows_as_that_and_how_often_it_was_started() -> None:
    found = samples(merged({"hot1": parsed(text_of(1.0)), "hot2": None}, {"hot2": Kept(restarts=3)}))
    assert found["streetvision_up", "hot1", ""] == 1.0
    assert found["streetvision_up", "hot2", ""] == 0.0
    assert found["streetvision_fleet_restarts_total", "hot2", ""] == 3.0
    assert ("streetvision_fleet_restarts_total", "hot1", "") not in found
    assert ("streetvision_standing_rank", "hot2", "") not in found


@pytest.mark.parametrize("text", ["a{b", "a 1 2 3 x\n", 'a{b="c} 1\n', "a\n"])
def test_what_is_no_text_of_metrics_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="these are no metrics"):
        parsed(text)
