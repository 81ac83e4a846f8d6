"""Several models and views as one Runner: whole for whoever calls `run`, pass by pass for the engine's planner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streetvision.engine.router import Router
from streetvision.engine.types import Closing, ImageArray, Resampling, Runner, RunnerOutput
from streetvision.engine.views import (
    Eye,
    Look,
    ResizeRule,
    ViewPass,
    plain_look,
    plan_passes,
    resize_rule,
    weighted_mean,
)
from streetvision.models.ensemble import EnsembleConfig
from streetvision.models.views import PLAIN, View

Geometry = tuple[tuple[Eye, ...], tuple[View, ...]]
"""What an image is decoded to: how each member takes it, and the views."""


class EnsembleRunner:
    """The members of an ensemble, loaded, and the views that each of them sees.

    As a Runner it has the first member's input: `run` gives what all members' logits on the plain view come to,
    whatever a router would ask, and the first member's embeddings. The engine calls the members one by one instead, as
    many as the router asks and as there is time for.
    """

    def __init__(self, members: Sequence[Runner], config: EnsembleConfig, router: Router | None = None) -> None:
        """`members` are in the order of the description, with the same buckets; `router` is there if it has one."""
        if len(members) != len(config.members):
            raise ValueError(f"{len(config.members)} members are described but {len(members)} were given")
        if len({member.buckets for member in members}) != 1:
            raise ValueError("all members must have the same buckets")
        if (config.router is None) != (router is None):
            raise ValueError("an ensemble takes a router if its description has one, and only then")
        self.members = tuple(members)
        self.config = config
        self.router = router
        self.weights = tuple(member.weight for member in config.members)
        self.views = config.looks
        self.seconds: tuple[dict[int, float], ...] = tuple({} for _ in members)
        """Seconds of one warm run, by member and bucket, as `warmup` measured them."""

    @property
    def version(self) -> str:
        """Version of the ensemble."""
        return self.config.version

    @property
    def input_size(self) -> int:
        """Side of the first member's input in pixels."""
        return self.members[0].input_size

    @property
    def resize(self) -> str:
        """The first member's resize rule."""
        return self.members[0].resize

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes of every member."""
        return self.members[0].buckets

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """Warm every member up; returns the first one's seconds by bucket, `seconds` has all. Raises as they do."""
        warm = [member.warmup(buckets) for member in self.members]
        for known, seconds in zip(self.seconds, warm, strict=True):
            known.update(seconds)
        return warm[0]

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 [N, H, W, 3] of the first member's size through all; members of another size see it resampled."""
        outputs = [member.run(_resampled(images, member.input_size)) for member in self.members]
        weights, bias = self.config.mixture
        logits = np.tensordot(weights, [output.logits for output in outputs], 1) + bias
        return RunnerOutput(logits.astype(np.float32), outputs[0].embeddings)

    def close(self) -> None:
        """Free every member."""
        for member in self.members:
            if isinstance(member, Closing):
                member.close()


def members_of(runner: Runner) -> tuple[Runner, ...]:
    """What the engine runs pass by pass: an ensemble's members, or the runner itself."""
    return runner.members if isinstance(runner, EnsembleRunner) else (runner,)


def router_of(runner: Runner) -> Router | None:
    """The router of an ensemble that has one."""
    return runner.router if isinstance(runner, EnsembleRunner) else None


class Sight:
    """The passes that a runner wants over a picture of any size; holds no model."""

    def __init__(self, runner: Runner) -> None:
        members = members_of(runner)
        rules: list[ResizeRule] = [resize_rule(member.resize) for member in members]
        weights = runner.weights if isinstance(runner, EnsembleRunner) else (1.0,)
        self.views: tuple[View, ...] = runner.views if isinstance(runner, EnsembleRunner) else (PLAIN,)
        self._mixture = runner.config.mixture if isinstance(runner, EnsembleRunner) and runner.router else None
        self.eyes = tuple(
            Eye(member.input_size, rule, weight, resample=_filter(member))
            for member, rule, weight in zip(members, rules, weights, strict=True)
        )

        self.single = len(self.eyes) == 1 and self.views == (PLAIN,)
        """Whether there is never more than one pass."""

    def combined(self, logits: Sequence[float], passes: Sequence[ViewPass]) -> float:
        """What the logits of a picture's first passes come to: the weighted mean, or both members' as a router says."""
        if self._mixture is None or len(logits) < 2:
            return weighted_mean(logits, passes)
        weights, bias = self._mixture
        return sum(weight * logit for weight, logit in zip(weights, logits, strict=True)) + bias

    def plain(self, width: int, height: int) -> tuple[Look]:
        """The first pass's look alone."""
        return (plain_look(width, height, self.eyes[0]),)

    @property
    def geometry(self) -> Geometry:
        """Images prepared for one runner fit another of equal geometry."""
        return self.eyes, self.views

    def passes(self, width: int, height: int) -> tuple[ViewPass, ...]:
        """All passes over a picture of that upright size, in order."""
        return plan_passes(self.eyes, self.views, width, height)


def _filter(runner: Runner) -> str:
    """How it wants its pictures scaled; a runner that does not say takes the bicubic filter."""
    return runner.resample if isinstance(runner, Resampling) else "bicubic"


def _resampled(images: ImageArray, size: int) -> ImageArray:
    """Nearest neighbours: the golden pictures come in any size by the same rule."""
    if images.shape[1] == size:
        return images
    nearest = (np.arange(size) * 2 + 1) * images.shape[1] // (2 * size)
    return np.ascontiguousarray(images[:, nearest][:, :, nearest])
