"""Fit a model's temperature and threshold to labelled pictures, and keep the result as a version of its own.

The threshold that decides best moves to 0.5 in logit space: validators round there (`ModelConfig.logit_shift`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.errors import OperatorError
from streetvision.evaluation.calibration import fit_calibration
from streetvision.evaluation.figures import Sample
from streetvision.evaluation.judging import Plan, Shown
from streetvision.evaluation.predictions import Progress, answer_examples, serving
from streetvision.models.config import ModelConfig
from streetvision.models.folder import CONFIG_FILE, ENSEMBLE_FILE, read_config
from streetvision.models.versions import ModelVersion
from streetvision.registry.model_import import ImportProgress, copy_model, no_progress
from streetvision.registry.registry import Registry

FEWEST = 50
"""Pictures of each class below which a fit follows chance."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A new calibration beside the old one."""

    before: ModelConfig
    temperature: float
    threshold: float

    def shifted(self, sample: Sample) -> Sample:
        """The answers as they would be with it."""
        raw = (sample.logits + self.before.logit_shift) * self.before.temperature
        return replace(sample, logits=raw / self.temperature - self.after.logit_shift)

    @property
    def after(self) -> ModelConfig:
        """The description with it."""
        return replace(self.before, temperature=self.temperature, threshold=self.threshold)


def described_checkpoint(folder: Path) -> ModelConfig:
    """The description of a checkpoint; OperatorError for an ensemble, whose members are calibrated one by one."""
    if (folder / ENSEMBLE_FILE).is_file():
        raise OperatorError(
            f"The model in {folder} is an ensemble: calibrate its members one by one, then combine them anew."
        )
    return read_config(folder)


def recalibrate(config: ModelConfig, sample: Sample, *, positive_share: float = 0.5) -> Fit:
    """Fit to what a model of this description answered, as if that share of the pictures showed roadwork.

    Raises OperatorError with fewer than FEWEST pictures of a class.
    """
    _require_enough(sample.labels.tolist())
    raw = (sample.logits + config.logit_shift) * config.temperature
    found = fit_calibration(raw, sample.labels, weights=class_weights(sample.labels, positive_share))
    return Fit(config, found.temperature, found.threshold)


def _require_enough(labels: Sequence[bool]) -> None:
    for label, words in ((True, "with roadwork"), (False, "without roadwork")):
        count = labels.count(label)
        if count < FEWEST:
            raise OperatorError(
                f"Calibrating takes at least {FEWEST} pictures of each class in the split `val`, and there are {count} "
                f"{words}: add pictures to the dataset."
            )


def class_weights(labels: NDArray[np.bool_], positive_share: float) -> NDArray[np.float64]:
    """Weights [N] under which the positives make up that share."""
    positives = int(labels.sum())
    each = positive_share / max(positives, 1), (1.0 - positive_share) / max(len(labels) - positives, 1)
    return np.where(labels, *each)


@dataclass(frozen=True)
class Calibrated:
    """A fit with the answers that it was made from, and others that it has not seen."""

    fit: Fit
    fitted_on: Sample
    unseen: Sample
    """Of the split `test`; may be empty."""
    facts: Mapping[str, Any]
    """For the model's card."""


def check_pictures(shown: Shown) -> None:
    """Raise OperatorError where its split `val` has too few pictures of a class; before a model is fetched, say."""
    _require_enough([example.label for example in shown.examples if example.split == "val"])


async def calibrated(folder: Path, shown: Shown, plan: Plan, *, progress: Progress = lambda _: None) -> Calibrated:
    """Fit to a dataset's split `val`, look at its split `test` too; OperatorError when there are too few pictures."""
    config = described_checkpoint(folder)
    examples = [example for example in shown.examples if example.split in ("val", "test")]
    check_pictures(shown)
    async with serving(folder, plan.serving) as engine:
        told = await answer_examples(engine, examples, progress=progress)
    in_val = np.array([example.split == "val" for example in told.examples], np.bool_)
    seen = told.sample.part(in_val)
    fit = recalibrate(config, seen, positive_share=plan.assumed.positive_share)
    facts = {
        "dataset": shown.name,
        "fingerprint": shown.fingerprint,
        "pictures": len(seen),
        "positive_share": plan.assumed.positive_share,
        "from": config.version,
    }
    return Calibrated(fit, seen, told.sample.part(~in_val), facts)


def keep(
    registry: Registry,
    folder: Path,
    fit: Fit,
    version: str,
    facts: Mapping[str, Any],
    *,
    progress: ImportProgress = no_progress,
) -> ModelVersion:
    """Add the model in `folder` with the new calibration as `version`; `facts` go into its card under `calibration`.

    The version that was calibrated stays as it is. Raises OperatorError, for one when `version` exists already.
    """

    def fill(target: Path) -> None:
        copy_model(folder, target)
        rewrite(target, fit, version, facts)

    return registry.add(fill, f"calibrated from {fit.before.version}", progress=progress)


def rewrite(folder: Path, fit: Fit, version: str, facts: Mapping[str, Any]) -> None:
    """Write the new calibration into the description of a checkpoint that nobody serves yet."""
    config = replace(fit.after, version=version, card={**fit.before.card, "calibration": dict(facts)})
    (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
