"""A model judged on datasets, each apart: answers, figures, parts, reward, hardships, and a rival beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streetvision.engine.engine import Engine
from streetvision.evaluation.comparison import Comparison, compare
from streetvision.evaluation.figures import (
    DRAWS,
    Estimate,
    Floats,
    Sample,
    estimate,
    estimates_from,
    interval_draws,
)
from streetvision.evaluation.predictions import Answers, Progress, Serving, answer_examples, serving
from streetvision.evaluation.reward import Assumptions, mean_rewards
from streetvision.evaluation.robustness import Hardship, chosen, robustness
from streetvision.evaluation.slices import Slice, slices
from streetvision.sources.dataset import Example


@dataclass(frozen=True, slots=True)
class Shown:
    """A dataset, or the split of one, to judge on."""

    name: str
    examples: Sequence[Example]
    fingerprint: str = ""
    left_out: int = 0
    """Pictures that could not be read when the dataset was opened."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be found out."""

    assumed: Assumptions = field(default_factory=Assumptions)
    robustness: int = 0
    """Pictures of each dataset that are shown again under every condition; 0: none."""
    serving: Serving = field(default_factory=Serving)


@dataclass(frozen=True)
class Judged:
    """All that was found on one dataset."""

    shown: Shown
    answers: Answers
    figures: dict[str, Estimate]
    reward: Estimate
    parts: list[Slice]
    hardships: list[Hardship]
    comparison: Comparison | None = None

    @property
    def sample(self) -> Sample:
        """Logits, labels and groups of what was answered."""
        return self.answers.sample


@dataclass(frozen=True)
class Report:
    """A model judged, with what a reader needs to know of how."""

    model: str
    rival: str | None
    judged: list[Judged]
    assumed: Assumptions


async def judge_model(
    folder: Path, rival: Path | None, data: Sequence[Shown], plan: Plan, *, progress: Progress = lambda _: None
) -> list[Judged]:
    """Judge the model in `folder` on each dataset, beside the rival if there is one.

    Raises OperatorError with one sentence: a model that cannot be loaded, a device that is lost.
    """
    async with serving(folder, plan.serving) as engine:
        told = [await answer_examples(engine, shown.examples, progress=progress) for shown in data]
        hard = [await _hardships(engine, one, plan.robustness, progress) for one in told]
    others: list[Answers | None] = [None] * len(data)
    if rival is not None:
        async with serving(rival, plan.serving) as engine:
            others = [await answer_examples(engine, shown.examples, progress=progress) for shown in data]
    return [judge_answers(*one, plan.assumed) for one in zip(data, told, hard, others, strict=True)]


def judge_answers(
    shown: Shown, told: Answers, hardships: list[Hardship], other: Answers | None, assumed: Assumptions
) -> Judged:
    """The figures of answers that are there."""
    sample = told.sample
    drawn = interval_draws(sample)
    return Judged(
        shown,
        told,
        estimates_from(sample, drawn),
        expected_reward(sample, drawn, assumed),
        slices(told.examples, sample),
        hardships,
        None if other is None else compare(*common(told, other), assumed),
    )


def expected_reward(sample: Sample, drawn: Mapping[str, Floats], assumed: Assumptions) -> Estimate:
    """The mean over draws of challenges; its interval holds both luck and how few groups were seen: `drawn`."""
    recall, false_alarms = rates(sample)
    value = mean_rewards(np.full(DRAWS, recall), np.full(DRAWS, false_alarms), assumed).mean()
    rewards = mean_rewards(drawn["recall"], drawn["false_alarms"], assumed) if drawn else None
    return estimate(float(value), rewards, sample.group_count)


def rates(sample: Sample) -> tuple[float, float]:
    """Recall and rate of false alarms; NaN where their class is absent."""
    said, truth = sample.said, sample.labels
    return (
        float(said[truth].mean()) if truth.any() else float("nan"),
        float(said[~truth].mean()) if (~truth).any() else float("nan"),
    )


def common(first: Answers, second: Answers) -> tuple[Sample, Sample]:
    """Both models' answers to the pictures that both answered, in the same order."""
    places = {example.path: place for place, example in enumerate(second.examples)}
    mine = np.array([example.path in places for example in first.examples], np.bool_)
    theirs = np.array([places[one.path] for one in first.examples if one.path in places], np.int64)
    return first.sample.part(mine), second.sample.part(theirs)


async def _hardships(engine: Engine, told: Answers, most: int, progress: Progress) -> list[Hardship]:
    places = chosen(told.examples, most)
    if not places:
        return []
    examples = [told.examples[place] for place in places]
    plain = told.sample.part(np.array(places, np.int64))
    return await robustness(engine, examples, plain, progress=progress)
