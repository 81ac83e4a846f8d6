from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streetvision.errors import OperatorError
from streetvision.evaluation.calibration import negative_log_likelihood
from streetvision.evaluation.figures import Sample, weighted_figures
from streetvision.evaluation.judging import Plan, Shown
from streetvision.evaluation.predictions import Serving, answer_examples, serving
from streetvision.evaluation.recalibration import calibrated, class_weights, described_checkpoint, keep, recalibrate
from streetvision.models.folder import ENSEMBLE_FILE, read_config
from streetvision.models.network import tiny_config
from streetvision.registry.registry import Registry
from streetvision.sources.dataset import Example

Pictures = Callable[..., list[Example]]
PLAN = Plan(serving=Serving("cpu"))


def overconfident(count: int = 4000, *, shift: float = 1.5, scale: float = 3.0, positives: float = 0.5) -> Sample:
    """Answers whose logits are `scale` times too large and lie `shift` too high."""
    rng = np.random.default_rng(0)
    labels = rng.random(count) < positives
    true = rng.normal(np.where(labels, 1.0, -1.0), 2.0**0.5, count)
    return Sample(true * scale + shift, labels, np.arange(count).astype(str))


def test_the_fit_finds_temperature_and_shift() -> None:
    sample = overconfident()
    fit = recalibrate(tiny_config(), sample)
    after = fit.shifted(sample)
    one = np.ones((1, len(sample)))
    before, improved = weighted_figures(sample, one), weighted_figures(after, one)
    assert improved["accuracy"][0] > before["accuracy"][0] + 0.01
    assert improved["ece"][0] < before["ece"][0] / 2
    assert fit.threshold > 0.55


def test_a_fit_of_what_was_calibrated_before_starts_from_the_raw_logits() -> None:
    sample = overconfident()
    plain = tiny_config()
    first = recalibrate(plain, sample)
    again = recalibrate(first.after, first.shifted(sample))
    assert again.temperature == pytest.approx(first.temperature, rel=1e-3)
    assert again.threshold == first.threshold
    assert again.shifted(first.shifted(sample)).logits == pytest.approx(first.shifted(sample).logits, abs=0.01)


def test_a_threshold_that_gains_nothing_stays_in_the_middle() -> None:
    assert recalibrate(tiny_config(), overconfident(shift=0.0)).threshold == 0.5


def test_a_rare_class_weighs_as_much_as_validators_show_it() -> None:
    labels = np.array([True] * 20 + [False] * 180)
    weights = class_weights(labels, 0.5)
    assert weights[labels].sum() == pytest.approx(0.5) == pytest.approx(weights[~labels].sum())
    rare = overconfident(shift=0.0, positives=0.1)
    balanced, as_it_is = (recalibrate(tiny_config(), rare, positive_share=share) for share in (0.5, 0.1))
    assert balanced.threshold < as_it_is.threshold, "rare works are worth answering no more often than not"


def test_weights_are_so_many_pictures() -> None:
    logits, labels = np.array([1.0, -2.0, 0.5]), np.array([True, True, False])
    repeated = negative_log_likelihood(np.repeat(logits, [1, 3, 2]), np.repeat(labels, [1, 3, 2]), 1.3)
    assert negative_log_likelihood(logits, labels, 1.3, weights=np.array([1.0, 3.0, 2.0])) == pytest.approx(repeated)


@pytest.mark.parametrize(("positives", "negatives", "words"), [(49, 500, "49 with roadwork"), (80, 3, "3 without")])
def test_too_few_pictures_are_refused_with_the_reason(positives: int, negatives: int, words: str) -> None:
    labels = np.array([True] * positives + [False] * negatives)
    with pytest.raises(OperatorError, match=words):
        recalibrate(tiny_config(), Sample(np.ones(len(labels)), labels, labels.astype(str)))


async def test_too_few_are_told_before_the_model_runs(pictures: Pictures, tmp_path: Path, small_model: Path) -> None:
    shown = Shown("drives", pictures(40, split="val"))
    with pytest.raises(OperatorError, match="at least 50"):
        await calibrated(small_model, shown, replace(PLAN, serving=Serving("no such device")))


async def test_the_new_version_answers_with_the_fit_and_the_old_one_stays(
    small_model: Path, pictures: Pictures, tmp_path: Path
) -> None:
    examples = [*pictures(100, split="val"), *pictures(10, split="test", seed=5), *pictures(4, split="train", seed=6)]
    before = read_config(small_model)
    done = await calibrated(small_model, Shown("drives", examples, "f" * 64), PLAN)
    assert (len(done.fitted_on), len(done.unseen)) == (100, 10)
    kept = keep(Registry(tmp_path / "models"), small_model, done.fit, "1.0.1", done.facts)
    config = read_config(kept.folder)
    assert (config.version, config.temperature) == ("1.0.1", done.fit.temperature)
    assert config.sha256 == before.sha256
    assert config.card["calibration"]["fingerprint"] == "f" * 64
    assert kept.source == "calibrated from 1.0.0"
    assert read_config(small_model) == before
    async with serving(kept.folder, PLAN.serving) as engine:
        told = await answer_examples(engine, [one for one in examples if one.split == "test"])
    assert told.sample.logits == pytest.approx(done.fit.shifted(done.unseen).logits, abs=1e-3)


async def test_a_version_that_exists_is_never_changed(small_model: Path, pictures: Pictures, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    registry.add_folder(small_model, source="here")
    done = await calibrated(small_model, Shown("drives", pictures(100, split="val")), PLAN)
    with pytest.raises(OperatorError, match="exists already"):
        keep(registry, small_model, done.fit, "1.0.0", done.facts)
    assert read_config(registry.get("1.0.0").folder) == read_config(small_model)


def test_an_ensemble_is_refused(tmp_path: Path) -> None:
    (tmp_path / ENSEMBLE_FILE).write_text("{}")
    with pytest.raises(OperatorError, match="one by one"):
        described_checkpoint(tmp_path)
