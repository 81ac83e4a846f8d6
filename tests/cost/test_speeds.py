"""Speeds: figures said to be measured are those of the result files, others are scaled and say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streetvision.cost.speeds import CPU, WORK, read_speeds
from streetvision.errors import OperatorError

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
SPEEDS = read_speeds()


def result(name: str, **wanted: Any) -> dict[str, Any]:
    rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


@pytest.mark.parametrize("model", ["small", "base", "large"])
def test_the_h100s_figures_are_those_of_its_results(model: str) -> None:
    speed = SPEEDS.of("h100", model)
    one, many = (result("forward-h100", model=model, batch=batch, forward="bf16") for batch in (1, 128))
    assert speed.measured
    assert speed.one_s * 1e3 == pytest.approx(one["ms"], rel=1e-3)
    assert speed.per_s == pytest.approx(many["images_per_s"], rel=1e-3)


@pytest.mark.parametrize("model", ["small", "base"])
def test_the_cpus_figures_are_those_of_its_results(model: str) -> None:
    speed = SPEEDS.of(CPU, model)
    one, many = (result("cpu", model=model, batch=batch, engine="ours", precision="float32") for batch in (1, 8))
    assert speed.measured
    assert speed.one_s * 1e3 == pytest.approx(one["ms"], rel=1e-3)
    assert speed.per_s == pytest.approx(many["images_per_s"], rel=1e-3)


def test_a_card_without_figures_is_scaled_by_its_worse_peak() -> None:
    known, scaled = SPEEDS.of("h100", "base"), SPEEDS.of("l4", "base")
    assert scaled.one_s / known.one_s == pytest.approx(3.35 / 0.3)  # bandwidth: products would be 8.2 times
    assert known.per_s / scaled.per_s == pytest.approx(3.35 / 0.3)
    assert not scaled.measured
    assert "not measured" in scaled.source
    assert SPEEDS.of("t4", "base").one_s / known.one_s == pytest.approx(989 / 8.1)  # products, in float32


def test_a_model_without_figures_is_scaled_by_its_work() -> None:
    base, large = SPEEDS.of(CPU, "base"), SPEEDS.of(CPU, "large")
    assert large.one_s / base.one_s == pytest.approx(WORK["large"] / WORK["base"])
    assert not large.measured


def test_only_what_was_measured_says_so() -> None:
    measured = {(device, model) for device in SPEEDS.device for model in WORK if SPEEDS.of(device, model).measured}
    assert measured == {
        *(("h100", model) for model in WORK),
        *((device, model) for device in ("h200", CPU) for model in ("small", "base")),
    }


@pytest.mark.parametrize(
    ("device", "model", "says"),
    [
        ("l44", "base", "the GPU l44 is not known: did you mean l4"),
        ("tpu", "base", "the GPU tpu is not known: "),
        ("l4", "bsae", "the model bsae is not known: did you mean base"),
    ],
)
def test_an_unknown_card_or_model_is_one_sentence(device: str, model: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        SPEEDS.of(device, model)
