"""An added dataset in FiftyOne, to be looked at: labels, splits and doubts as fields, the surest doubts first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streetvision.mining.database import Dataset, FiftyOne
from streetvision.sources.dataset import Example
from streetvision.sources.labels import CLASSES

DOUBTS = "doubts"
"""The saved view of doubtful labels."""


def load_examples(fo: FiftyOne, name: str, examples: Sequence[Example], doubts: Mapping[str, float]) -> Dataset:
    """A FiftyOne dataset of these pictures, in place of an earlier one; it shows, and keeps nothing that matters.

    `doubts` holds by digest how probable the other label is.
    """
    if name in fo.list_datasets():
        fo.delete_dataset(name)
    dataset = fo.Dataset(name)
    dataset.add_samples([_sample(fo, one, doubts.get(one.sha256)) for one in examples], progress=False)
    doubtful = dataset.exists("doubt") if doubts else dataset.limit(0)
    dataset.save_view(DOUBTS, doubtful.sort_by("doubt", reverse=True) if doubts else doubtful)
    return dataset


def _sample(fo: FiftyOne, one: Example, doubt: float | None) -> object:
    return fo.Sample(
        filepath=str(one.path.absolute()),
        label=fo.Classification(label=CLASSES[one.label]),
        split=one.split,
        group=one.group,
        source=one.source,
        sha256=one.sha256,
        doubt=doubt,
        tags=[],
    )
