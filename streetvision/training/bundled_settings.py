"""How the bundled checkpoint is trained: numbers, schedule, and a version of them that takes seconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from streetvision.training.optimisers import rate_factor
from streetvision.training.recipe import LossRecipe, OptimiserRecipe
from streetvision.training.sources import SourceSettings


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults fit one H200 with 16 cores and a quarter of an hour."""

    budget_s: float = 850.0
    """Wall time of it all in seconds: sprites, teacher, compilation, training."""
    save_every_s: float = 120.0
    """Seconds between two copies of the averaged weights on disk, so that a machine taken away costs little."""
    batch: int = 768
    coarse_size: int | None = 224
    """Input size for the first part of training, when steps matter more than detail; None trains at full size."""
    coarse_share: float = 0.35
    """Share of the training spent at that size."""
    capacity: int = 65_536
    """Scenes held on the device at once."""
    first_scenes: int = 1_024
    """Scenes to wait for before the first step."""
    scene_size: tuple[int, int] = (448, 336)
    """Width and height of drawn scenes."""
    workers: int = 12
    sprites: int = 6_000
    """Works and look-alikes to lay into pictures; 0 trains on drawn scenes alone."""
    close_sprites: int = 2_400
    """The same for close-ups, at one and a half times the detail."""
    sources: SourceSettings = field(default_factory=SourceSettings)
    teacher_s: float = 130.0
    """Wall time in which the teacher, if there is one, learns the task first."""
    feature_loss: float = 1.0
    """Weight of the loss that asks the patches for the teachers' features."""
    answer_loss: float = 3.0
    """Weight of the loss that asks for the tuned teacher's answers, of pictures and of patches; that of labels is 1."""
    taught: float = 0.7
    """Share of a batch, drawn scenes last, whose features are asked for as the tuned teacher has them."""
    shown_imagenet: float = 0.25
    """Share of a batch, drawn scenes last, whose ImageNet features are asked for."""
    learning_rate: float = 3e-3
    warmup: float = 0.04
    """Share of the training over which the learning rate rises."""
    weight_decay: float = 0.05
    muon: bool = True
    """Orthogonalised momentum for the blocks' matrices, AdamW for the rest; else AdamW throughout."""
    smoothing: float = 0.02
    patch_loss: float = 1.0
    """Weight of the auxiliary loss that asks every patch whether an object is there."""
    ema: float = 0.999
    compile: bool = True
    """Compile the transformer's blocks, one at a time: they share one compilation."""
    seed: int = 0
    max_steps: int | None = None

    @property
    def optimiser(self) -> OptimiserRecipe:
        """As other trainings are told; time, not steps, drives the schedule."""
        kind = "muon" if self.muon else "adamw"
        return OptimiserRecipe(kind, self.learning_rate, self.weight_decay, "cosine", self.warmup, ema=self.ema)

    @property
    def loss(self) -> LossRecipe:
        """As other trainings are told."""
        return LossRecipe(label_smoothing=self.smoothing, patches=self.patch_loss)


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """Linear rise, then half a cosine down to a hundredth; `progress` runs from 0 to 1."""
    return settings.learning_rate * rate_factor(settings.optimiser, progress)


def scaled_down(settings: TrainSettings) -> TrainSettings:
    """Settings that finish in seconds on a CPU, to see that everything runs."""
    return replace(
        settings,
        budget_s=600.0,
        batch=8,
        capacity=64,
        first_scenes=32,
        scene_size=(128, 96),
        workers=1,
        sprites=24,
        close_sprites=16,
        sources=SourceSettings(fresh=8, capacity=32, size=(96, 72)),
        teacher_s=5.0,
        coarse_size=64,
        compile=False,
        max_steps=4,
    )
