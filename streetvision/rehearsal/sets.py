"""The folders of pictures that a rehearsal draws, and how labelled ones arrive as a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streetvision.rehearsal.drawing import FIRST_SCENE, SEED_SCENES, Drawing, draw_all
from streetvision.rehearsal.scale import Counts
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

SHARES = Shares(val=0.1, test=0.2)
STREETS, LATER, POISONED = "streets", "later", "poisoned"
"""Datasets: what is labelled rightly, at first and later, and what has half of its labels turned round."""


@dataclass(frozen=True, slots=True)
class Sets:
    """One folder each, below it `roadwork` and `none`."""

    folder: Path

    @property
    def day(self) -> Path:
        """The stream as it was."""
        return self.folder / "day"

    @property
    def night(self) -> Path:
        """The stream after it has shifted."""
        return self.folder / "night"

    @property
    def later(self) -> Path:
        """More of the night: what a run is given must be new, however the one before ended."""
        return self.folder / "later"

    @property
    def poisoned(self) -> Path:
        """Of the night, half of the labels wrong."""
        return self.folder / "poisoned"

    @property
    def frozen(self) -> Path:
        """Of both kinds."""
        return self.folder / "frozen"

    @property
    def test_day(self) -> Path:
        """What the table is made from."""
        return self.folder / "test_day"

    @property
    def test_night(self) -> Path:
        """The same by night."""
        return self.folder / "test_night"


def draw_sets(sets: Sets, counts: Counts, seed: int) -> None:
    """All of them, no scene twice."""
    wanted = (
        (sets.day, counts.day, False),
        (sets.night, counts.night, True),
        (sets.later, counts.later, True),
        (sets.poisoned, counts.poisoned, True),
        (sets.frozen, counts.frozen_day, False),
        (sets.frozen, counts.frozen_night, True),
        (sets.test_day, counts.test, False),
        (sets.test_night, counts.test, True),
    )
    scene, drawings = FIRST_SCENE + seed * SEED_SCENES, list[Drawing]()
    for folder, count, night in wanted:
        # Streets do not know their numbers: every second wrong label is half of each class's, as nearly as can be.
        wrong = [folder == sets.poisoned and number % 2 == 0 for number in range(count)]
        drawings += [Drawing(folder, scene + number, night, turned) for number, turned in enumerate(wrong)]
        scene += count
    draw_all(drawings)


def label(state: Path, name: str, *folders: Path) -> None:
    """These pictures with their labels become the dataset."""
    with writing(dataset_folder(name, state)) as store:
        for folder in folders:
            add(open_folder(folder), store)
        arrange(store, SHARES)
