"""The figures of one validation, and the calibration of the answers that are kept."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from streetvision.evaluation.calibration import (
    Calibration,
    fit_calibration,
    fit_temperature,
    judge,
    negative_log_likelihood,
)
from streetvision.evaluation.ranking import areas
from streetvision.training.module import Judged


def figures_of(judged: Judged) -> dict[str, float]:
    """Accuracy, MCC, AUC and the rest at a probability of 0.5, and the NLL after the best temperature."""
    logits, labels = _arrays(judged)
    figures = {name: float(value) for name, value in asdict(judge(logits, labels)).items()}
    figures["auc"] = float(areas(logits, labels, np.ones((1, len(labels))))[0])
    figures["calibrated_nll"] = negative_log_likelihood(logits, labels, fit_temperature(logits, labels))
    return {name: round(value, 5) for name, value in figures.items()}


def calibration_of(judged: Judged) -> Calibration:
    """What fits these answers best."""
    return fit_calibration(*_arrays(judged))


def calibrated(judged: Judged, how: Calibration) -> Judged:
    """The answers as they are served: 0 decides."""
    shift = float(np.log(how.threshold / (1.0 - how.threshold)))
    return Judged(judged.indices, judged.logits / how.temperature - shift, judged.labels)


def _arrays(judged: Judged) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return judged.logits.double().numpy(), judged.labels.numpy().astype(np.bool_)
