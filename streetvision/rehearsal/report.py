"""How a rehearsal went: each model on each kind of street, each run beside what should have become of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streetvision.evaluation.judging import rates
from streetvision.evaluation.predictions import Answers, Serving, answer_examples, serving
from streetvision.evaluation.reward import Assumptions, mean_rewards
from streetvision.rehearsal.stream import Summary
from streetvision.retrain_log.records import RunState
from streetvision.sources.folder_dataset import FolderDataset
from streetvision.subnet import matthews

DRAWS = 20
"""Of 1,000 challenges each, over which the reward is averaged."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A model on pictures that neither a training nor a gate has seen."""

    model: str
    pictures: int
    accuracy: float
    mcc: float
    reward: float
    """That the subnet's formula may be expected to give."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A run, and what should have become of it."""

    name: str
    """`improvement`, `regression` or `poison`."""
    wanted: tuple[RunState, ...]
    state: RunState
    reason: str
    seconds: float

    @property
    def as_wanted(self) -> bool:
        """Whether the gates did what they are there for."""
        return self.state in self.wanted


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    figures: Mapping[str, Figures]
    """By BEFORE, WITHOUT, WITH and WITH_BY_DAY."""
    asked: Mapping[str, Summary]
    """What the validators asked and gave, by DAY, NIGHT, TRAINING and AFTER."""
    endings: Sequence[Ending]
    lost: int
    """Challenges without an answer."""
    miner_exit: int | None
    seconds: float

    @property
    def gain(self) -> float:
        """Expected reward by night with the loop, less that without."""
        return self.figures[WITH].reward - self.figures[WITHOUT].reward

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = [f"the run `{one.name}` ended {one.state}: {one.reason}" for one in self.endings if not one.as_wanted]
        if self.gain <= 0.0:
            found.append("the model that retraining made earns no more than the one before")
        if self.lost:
            found.append(f"{self.lost} challenges got no answer")
        if self.miner_exit != 0:
            found.append(f"the miner ended with exit code {self.miner_exit}")
        return found


BEFORE, WITHOUT, WITH, WITH_BY_DAY = "before", "without", "with", "with_by_day"
"""The first model by day; by night; the new model by night; by day."""
DAY, NIGHT, TRAINING, AFTER = "day", "night", "training", "after"
"""Parts of a rehearsal: the old stream; the new one; meanwhile a training; after the promotion."""


def judge(first: Path, last: Path, by_day: Path, by_night: Path) -> dict[str, Figures]:
    """Both models on both kinds of street."""
    folders = (by_day, by_night)
    old, new = (asyncio.run(_answers(model, folders)) for model in (first, last))
    return {
        BEFORE: figures_of(old[0]),
        WITHOUT: figures_of(old[1]),
        WITH: figures_of(new[1]),
        WITH_BY_DAY: figures_of(new[0]),
    }


def figures_of(told: Answers) -> Figures:
    """Of one model on one set."""
    recall, false_alarms = (np.full(DRAWS, rate) for rate in rates(told.sample))
    said, truth = told.sample.said, told.sample.labels
    return Figures(
        told.model,
        len(truth),
        float((said == truth).mean()),
        matthews(truth.tolist(), said.tolist()),
        float(mean_rewards(recall, false_alarms, Assumptions()).mean()),
    )


async def _answers(model: Path, folders: Sequence[Path]) -> list[Answers]:
    async with serving(model, Serving("cpu")) as engine:
        return [await answer_examples(engine, FolderDataset(folder).examples()) for folder in folders]
