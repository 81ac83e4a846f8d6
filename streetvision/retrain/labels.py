"""Which labels no run has learned from yet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streetvision.errors import OperatorError
from streetvision.retrain.combining import Label, labels_of
from streetvision.retrain.sets import NamedSet, learning_sets, set_names
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import StepName
from streetvision.settings.settings import Settings
from streetvision.sources.listed import ListedDataset

PICTURES = "pictures"
"""Key of the dataset step's output: the list of what the run learned from."""


def count_labels(settings: Settings, log: RetrainReader) -> int:
    """Labelled pictures that no run has learned from; raises OperatorError where a set cannot be read."""
    return len(labels_in(learning_sets(set_names(settings), settings.state_dir)) - seen_labels(log))


def labels_in(sets: Iterable[NamedSet]) -> frozenset[Label]:
    """Each label once, in however many sets it stands."""
    return labels_of(example for one in sets for example in one.examples)


def seen_labels(log: RetrainReader) -> frozenset[Label]:
    """What the last run that trained was given; nothing where its list is gone.

    A run whose labels were refused trained on nothing: they stay new, so that they are looked at again.
    """
    for run in log.runs_that_did(StepName.TRAIN, 1):
        return _listed(Path(str(log.outputs(run.id).get(StepName.DATASET, {}).get(PICTURES, ""))))
    return frozenset()


def _listed(file: Path) -> frozenset[Label]:
    try:
        return labels_of(ListedDataset(file).examples())
    except OperatorError:
        return frozenset()
