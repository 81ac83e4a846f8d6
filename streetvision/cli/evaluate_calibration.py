"""`streetvision evaluate --calibrate`: a new version with another temperature and threshold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np

from streetvision.cli.models import progress_shown
from streetvision.cli.shared import print_json, progress_bar
from streetvision.evaluation.figures import Sample, weighted_figures
from streetvision.evaluation.judging import Plan, Shown
from streetvision.evaluation.recalibration import Calibrated, calibrated, keep
from streetvision.evaluation.wording import LABELS, number
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry

SHOWN = ("accuracy", "mcc", "ece", "nll")


def calibrate_model(registry: Registry, folder: Path, shown: Shown, plan: Plan, version: str, *, as_json: bool) -> None:
    """Fit on the split `val`, keep the new version, and show both calibrations, also where the fit did not look."""
    with progress_bar("answering", len(shown.examples)) as progress:
        done = asyncio.run(calibrated(folder, shown, plan, progress=progress))
    with progress_shown(f"adding {version}") as adding:
        kept = keep(registry, folder, done.fit, version, done.facts, progress=adding)
    if as_json:
        print_json(calibration_fields(done, kept))
    else:
        sys.stdout.write(calibration_text(done, kept) + "\n")


def calibration_fields(done: Calibrated, kept: ModelVersion) -> dict[str, Any]:
    """What `--json` prints."""
    before, after = done.fit.before, done.fit.after
    return {
        "version": kept.version,
        "from": before.version,
        "temperature": {"before": before.temperature, "after": after.temperature},
        "threshold": {"before": before.threshold, "after": after.threshold},
        **{name: _before_and_after(done, sample) for name, sample in _samples(done).items()},
    }


def calibration_text(done: Calibrated, kept: ModelVersion) -> str:
    """What a terminal shows."""
    return f"{kept.version}  calibrated from {done.fit.before.version}\n{figures_text(done)}"


def figures_text(done: Calibrated) -> str:
    """The figures before and after, as a table."""
    before, after = done.fit.before, done.fit.after
    lines = [
        f"  {'':<22}{'before':>8}{'after':>8}",
        f"  {'temperature':<22}{number(before.temperature):>8}{number(after.temperature):>8}",
        f"  {'threshold':<22}{number(before.threshold):>8}{number(after.threshold):>8}",
    ]
    for split, sample in _samples(done).items():
        for name, cells in _before_and_after(done, sample).items():
            word = f"{LABELS[name]} on {split}"
            lines.append(f"  {word:<22}{number(cells['before']):>8}{number(cells['after']):>8}")
    return "\n".join(lines)


def _samples(done: Calibrated) -> dict[str, Sample]:
    return {"val": done.fitted_on} | ({"test": done.unseen} if len(done.unseen) else {})


def _before_and_after(done: Calibrated, sample: Sample) -> dict[str, dict[str, float | None]]:
    ones = np.ones((1, len(sample)))
    before, after = (weighted_figures(one, ones) for one in (sample, done.fit.shifted(sample)))
    return {name: {"before": _known(before[name][0]), "after": _known(after[name][0])} for name in SHOWN}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
