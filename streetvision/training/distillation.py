"""What the bundled network learns from its teachers: features of all of them, answers of those that know the task.

A tuned teacher says of every picture, labelled or not, whether and where it shows works; of several, each has every
so-many-th step, which comes to the mean of their answers at the price of one. The one with ImageNet weights keeps what
photographs teach. Answers weigh more than labels: see Beyer et al., 2022, "Knowledge distillation: A
good teacher is patient and consistent", where the student sees the very picture that its teacher judges, as here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.learner import Answers
from streetvision.training.teacher import ImageNetFeatures, Teacher, standardised


class Distillation(nn.Module):
    """The loss against all teachers; a linear map from the network's patches to each one's features learns too."""

    def __init__(
        self, tuned: Sequence[Teacher], imagenet: ImageNetFeatures, width: int, settings: TrainSettings
    ) -> None:
        super().__init__()
        self.tuned, self.imagenet, self.settings = nn.ModuleList(tuned), imagenet, settings
        self.turn = 0
        self.to_tuned = nn.ModuleList(nn.Linear(width, teacher.width) for teacher in tuned)
        self.to_imagenet = nn.Linear(width, imagenet.width)

    @property
    def teachers(self) -> tuple[Teacher, ...]:
        """Those that know the task."""
        return tuple(one for one in self.tuned if isinstance(one, Teacher))

    def forward(self, pixels: torch.Tensor, student: Answers) -> torch.Tensor:
        """Loss of the answers to all pictures and of the features of the first, as many as the settings say."""
        settings, count = self.settings, len(pixels)
        whose, self.turn = self.turn % len(self.tuned), self.turn + 1
        some, few = round(count * settings.taught), round(count * settings.shown_imagenet)
        with torch.no_grad():
            logits, scores, features = self.tuned[whose](pixels)
            seen = self.imagenet(pixels[:few])
        alike = F.smooth_l1_loss(self.to_tuned[whose](student.tokens[:some]).float(), standardised(features[:some]))
        coarse = self.to_imagenet(halved(student.tokens[:few])).float()
        natural = F.smooth_l1_loss(coarse, standardised(seen.float()))
        same = _same_answer(student.logits, logits) + _same_answer(student.patches, scores)
        return settings.feature_loss * (alike + natural) + settings.answer_loss * same


def halved(tokens: torch.Tensor) -> torch.Tensor:
    """Patches [N, G * G, C] of an even grid averaged two by two: [N, G * G / 4, C]."""
    side = int(len(tokens[0]) ** 0.5)
    grid = tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    return F.avg_pool2d(grid, 2).flatten(2).transpose(1, 2)


def _same_answer(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(mine.float(), theirs.float().sigmoid())
