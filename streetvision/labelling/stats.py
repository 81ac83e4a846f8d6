"""An oracle in numbers: what it said, what it cost, how often it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from streetvision.labelling.asking import utc_now
from streetvision.labelling.calibration import Calibration, Measured
from streetvision.labelling.reading import verdicts_in
from streetvision.labelling.shots import make_prompt
from streetvision.labelling.store import Cost, LabellingStore, Spent
from streetvision.settings.oracle import OracleSettings
from streetvision.sources.labels import CLASSES


@dataclass(frozen=True, slots=True)
class ErrorStats:
    """How often its label of one class is wrong, by people's labels."""

    pictures: int
    wrong: int
    witnesses: int
    low: float
    high: float
    """Of the share that is wrong: it lies between them in 95 of 100 cases."""
    trust: float
    """Weight of its surest label of this class."""


@dataclass(frozen=True)
class LabelStats:
    """All that is known of one oracle."""

    asker: str
    questions: Mapping[str, int]
    """By state."""
    labels: Mapping[str, int]
    """Pictures by label."""
    taught: int
    """Pictures whose label may be learned from: people said nothing of them, and its trust is above 0."""
    mean_trust: float
    """Of these."""
    calibration: Calibration
    compared: int
    """Pictures that people labelled too."""
    errors: Mapping[str, ErrorStats]
    """By the oracle's label; pictures of which it is unsure are in neither."""
    spent: Spent
    mean_cost: Cost | None
    """Of an answered question."""


def read_stats(settings: OracleSettings, state: Path) -> LabelStats:
    """Of the oracle of the settings; raises OperatorError."""
    prompt = make_prompt(settings, state)
    with LabellingStore(state) as store:
        found = verdicts_in(store, prompt, state)
        trusts = [one.trust for one in found.pictures if one.trust > 0 and one.picture.human is None]
        measured = found.measured
        return LabelStats(
            asker=prompt.asker,
            questions=store.states(prompt.asker),
            labels=dict(Counter(one.label for one in found.pictures)),
            taught=len(trusts),
            mean_trust=fmean(trusts) if trusts else 0.0,
            calibration=measured.calibration,
            compared=measured.compared,
            errors={CLASSES[label]: _error(measured, label) for label in (True, False)},
            spent=store.spent(utc_now()),
            mean_cost=store.mean_cost(prompt.asker),
        )


def _error(measured: Measured, label: bool) -> ErrorStats:
    one = measured.errors[label]
    return ErrorStats(one.pictures, one.wrong, one.witnesses, *one.interval, measured.trust(float(label)))
