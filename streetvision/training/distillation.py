"""What the bundled network learns from its teachers: features of two of them and the answers of one.

The tuned teacher says what works are; the one with ImageNet weights keeps what photographs teach. Both look at pictures
that have no label too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.learner import Answers
from streetvision.training.teacher import ImageNetFeatures, Teacher, standardised


class Distillation(nn.Module):
    """The loss against both teachers; a linear map from the network's patches to each one's features learns too."""

    def __init__(self, tuned: Teacher, imagenet: ImageNetFeatures, width: int, settings: TrainSettings) -> None:
        super().__init__()
        self.tuned, self.imagenet, self.settings = tuned, imagenet, settings
        self.to_tuned = nn.Linear(width, tuned.width)
        self.to_imagenet = nn.Linear(width, imagenet.width)

    def forward(self, pixels: torch.Tensor, student: Answers) -> torch.Tensor:
        """Loss of the batch's first pictures, as many as the settings have each teacher look at."""
        settings, count = self.settings, len(pixels)
        some, few = round(count * settings.taught), round(count * settings.shown_imagenet)
        with torch.no_grad():
            logits, scores, features = self.tuned(pixels[:some])
            seen = self.imagenet(pixels[:few])
        alike = F.smooth_l1_loss(self.to_tuned(student.tokens[:some]).float(), standardised(features))
        coarse = self.to_imagenet(halved(student.tokens[:few])).float()
        natural = F.smooth_l1_loss(coarse, standardised(seen.float()))
        same = _same_answer(student.logits[:some], logits) + _same_answer(student.patches[:some], scores)
        return settings.feature_loss * (alike + natural) + settings.answer_loss * same


def halved(tokens: torch.Tensor) -> torch.Tensor:
    """Patches [N, G * G, C] of an even grid averaged two by two: [N, G * G / 4, C]."""
    side = int(len(tokens[0]) ** 0.5)
    grid = tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    return F.avg_pool2d(grid, 2).flatten(2).transpose(1, 2)


def _same_answer(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(mine.float(), theirs.float().sigmoid())
