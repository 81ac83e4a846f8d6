"""The cheap histogram says what prometheus_client's own says, in both formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client import Histogram as Slow
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from streetvision.base.histogram import Histogram

EDGES = (0.001, 0.25, 1.0, 10.0)


def lines(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if "_created" not in line]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(EDGES) | st.floats(0, 20))))
def test_it_is_exposed_as_the_original_is(values: list[tuple[str, float]]) -> None:
    cheap, slow = CollectorRegistry(), CollectorRegistry()
    one = Histogram("seconds", "Seconds", ["stage"], buckets=EDGES, registry=cheap)
    other = Slow("seconds", "Seconds", ["stage"], buckets=EDGES, registry=slow)
    for stage, value in values:
        one.labels(stage).observe(value)
        other.labels(stage).observe(value)
    assert lines(generate_latest(cheap)) == lines(generate_latest(slow))
    assert lines(openmetrics(cheap)) == lines(openmetrics(slow))  # type: ignore[no-untyped-call]  # the library's omission


def test_without_labels_it_counts_by_itself() -> None:
    registry = CollectorRegistry()
    sizes = Histogram("sizes", "Sizes", buckets=(1, 2), registry=registry)
    sizes.observe(2)
    assert registry.get_sample_value("sizes_bucket", {"le": "1.0"}) == 0
    assert registry.get_sample_value("sizes_bucket", {"le": "2.0"}) == 1
    assert registry.get_sample_value("sizes_count") == 1


def test_what_it_refuses() -> None:
    registry = CollectorRegistry()
    Histogram("taken", "Taken", ["stage"], buckets=EDGES, registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("taken", "Taken", registry=registry)
    with pytest.raises(ValueError, match="ascend"):
        Histogram("back", "Back", buckets=(2, 1), registry=registry)
    with pytest.raises(ValueError, match="labels stage"):
        Histogram("more", "More", ["stage"], buckets=EDGES, registry=registry).labels()
