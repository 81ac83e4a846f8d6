"""Label and synthesise: further pictures, where somebody is configured who gives them.

Both give a Source, as every picture with a label does: who says so (`labelled_by`) and how far it is believed (`trust`)
stand in each of them. What a source gives is kept in a dataset of its own, which the run learns from beside the others.
"""

from __future__ import annotations

from typing import Protocol

from streetvision.retrain.step import Context, Output
from streetvision.sources.adding import AddReport, add
from streetvision.sources.arranging import arrange
from streetvision.sources.place import dataset_folder
from streetvision.sources.source import Source
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.stored import StoredDataset

SET = "set"
"""Key of the output: the dataset that holds the pictures; empty where there is none."""
LABELLED, SYNTHETIC = "retrain-labelled", "retrain-synthetic"
_ALL_TRAIN = Shares(val=0.0, test=0.0)
"""An oracle's word and a made picture teach; they judge nobody."""


class PictureGiver(Protocol):
    """Labels what nobody labelled, or makes pictures: an oracle, a generator."""

    @property
    def name(self) -> str:
        """As the run's record says it."""
        ...

    def source(self, context: Context) -> Source:
        """The pictures for this run; raises OperatorError when it cannot be asked."""
        ...


def label(context: Context, oracle: PictureGiver | None) -> Output:
    """Have the week's stream labelled where nobody did."""
    return _taken(context, oracle, LABELLED, "no oracle is configured")


def synthesise(context: Context, generator: PictureGiver | None) -> Output:
    """Add variations of what is rare."""
    return _taken(context, generator, SYNTHETIC, "no source of synthetic pictures is configured")


def _taken(context: Context, giver: PictureGiver | None, name: str, nobody: str) -> Output:
    if giver is None:
        return {SET: "", "pictures": 0, "why": nobody}
    source = giver.source(context)

    def tell(report: AddReport) -> None:
        context.check_stop()
        context.tell({"event": "progress", "what": giver.name, "done": report.read, "total": 0})

    folder = dataset_folder(name, context.settings.state_dir)
    with writing(folder) as store:
        try:
            report = add(source, store, progress=tell)
        finally:
            arrange(store, _ALL_TRAIN)
    if not StoredDataset(folder).examples():
        return {SET: "", "pictures": 0, "why": f"{giver.name} gave none"}
    return {SET: name, "pictures": report.new, "why": f"by {giver.name}"}
