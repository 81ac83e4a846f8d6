"""A recipe: everything that decides how a model is trained, apart from the pictures and the machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from streetvision.errors import ConfigError

PRETRAINED, ACTIVE, FRESH = "pretrained", "active", "none"
MAX_SEED = (1 << 31) - 1


class RecipeError(ConfigError):
    """A recipe says something that cannot be: one sentence with the key and what may stand there."""


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise RecipeError unless the value is one of a few words."""
    if value not in allowed:
        raise RecipeError(f"{key} must be one of {', '.join(allowed)}, not {value!r:.100}")


def within(key: str, value: float, low: float, high: float) -> None:
    """Raise RecipeError unless low <= value <= high; NaN is not."""
    if not low <= value <= high:
        raise RecipeError(f"{key} must be between {low:g} and {high:g}, not {value:g}")


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Which network is trained and where its weights come from."""

    backbone: str = "vit_small_patch16_dinov3.lvd1689m"
    """A timm name with its tag, as `streetvision models add timm:NAME` takes it."""
    weights: str = PRETRAINED
    """`pretrained` (the hub), a safetensors file, a registry version, `active`, or `none`: drawn at random."""
    head: str = "cls_mean_linear"
    """A file of `models/heads`."""
    input_size: int = 224
    """Side of the square input in pixels; a multiple of the patch size."""
    name: str = "streetvision"
    """What the model is called in its description."""

    def __post_init__(self) -> None:
        from streetvision.models.heads import head_kinds

        one_of("model.head", self.head, head_kinds())
        within("model.input_size", self.input_size, 32, 768)


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """Which pictures, and how often each is seen."""

    sets: tuple[str, ...] = ()
    """Datasets by name, as `streetvision data list` shows them."""
    balance: str = "classes"
    """`classes`: roadwork and not are seen equally often; `none`: each picture as often as any other."""

    def __post_init__(self) -> None:
        one_of("data.balance", self.balance, ("classes", "none"))


@dataclass(frozen=True, slots=True)
class TuneRecipe:
    """Which weights learn."""

    method: str = "head"
    """`head` alone, `lora` (and the head), the `last` blocks, or `full`: all of them."""
    rank: int = 16
    alpha: int = 32
    """LoRA's update is scaled by alpha / rank."""
    blocks: int = 4
    """How many blocks from the end learn with `last`."""
    layer_decay: float = 0.75
    """A block's learning rate is this times that of the block above it; 1.0: the same for all."""

    def __post_init__(self) -> None:
        one_of("tune.method", self.method, ("head", "lora", "last", "full"))
        within("tune.rank", self.rank, 1, 512)
        within("tune.alpha", self.alpha, 1, 4096)
        within("tune.blocks", self.blocks, 1, 80)
        within("tune.layer_decay", self.layer_decay, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class LossRecipe:
    """Which answers are punished how."""

    kind: str = "bce"
    """`bce`, or `focal`, which looks away from what is answered rightly already."""
    gamma: float = 2.0
    """Of the focal loss: how far it looks away."""
    label_smoothing: float = 0.0
    positive_weight: float = 1.0
    """How much heavier a roadwork picture weighs."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that two pictures are mixed by; 0: never."""
    cutmix: float = 0.0
    """Alpha of the Beta distribution that says how large a pasted piece is; 0: never."""
    patches: float = 0.0
    """Weight of the loss on patches, where the pictures say which patches show works."""

    def __post_init__(self) -> None:
        one_of("loss.kind", self.kind, ("bce", "focal"))
        within("loss.gamma", self.gamma, 0.0, 10.0)
        within("loss.label_smoothing", self.label_smoothing, 0.0, 0.5)
        within("loss.positive_weight", self.positive_weight, 0.01, 100.0)
        within("loss.mixup", self.mixup, 0.0, 10.0)
        within("loss.cutmix", self.cutmix, 0.0, 10.0)
        within("loss.patches", self.patches, 0.0, 100.0)


@dataclass(frozen=True, slots=True)
class OptimiserRecipe:
    """How far and how fast."""

    kind: str = "adamw"
    """`adamw`, or `muon`: orthogonalised momentum for the blocks' matrices, AdamW for the rest."""
    lr: float = 1e-3
    """Peak learning rate, of the head and, before layer decay, of all else."""
    weight_decay: float = 0.05
    schedule: str = "cosine"
    """After the warm-up: `cosine` down to a hundredth, `linear` likewise, or `constant`."""
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises."""
    epochs: float = 10.0
    steps: int = 0
    """Where above 0: that many steps instead of `epochs`."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is what is kept; 0: the weights themselves."""
    clip: float = 1.0
    """Largest norm of a gradient."""

    def __post_init__(self) -> None:
        one_of("optimiser.kind", self.kind, ("adamw", "muon"))
        within("optimiser.lr", self.lr, 1e-9, 10.0)
        within("optimiser.weight_decay", self.weight_decay, 0.0, 10.0)
        one_of("optimiser.schedule", self.schedule, ("cosine", "linear", "constant"))
        within("optimiser.warmup", self.warmup, 0.0, 0.9)
        within("optimiser.epochs", self.epochs, 0.01, 10_000)
        within("optimiser.steps", self.steps, 0, 10**9)
        within("optimiser.ema", self.ema, 0.0, 0.999999)
        within("optimiser.clip", self.clip, 1e-3, 1e6)


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """What is done to pictures before the network sees them."""

    validator: float = 0.5
    """Share of pictures that get the validators' augmentations of before May 2026, levels 0 to 3 equally often."""
    native: float = 0.5
    """Share that are shown as pictures of native size are: whole, a little cropped, sometimes sideways."""
    sideways: float = 0.1
    """Share of those that lie on their side, as phones send portraits whose tag was lost."""
    least: float = 0.7
    """Smallest part of the width or height that those show."""
    camera: float = 1.0
    """How far exposure and colour vary, as between cameras; 0: not at all."""
    copies: int = 4
    """Of each picture, where only the head learns and what the backbone says is kept."""

    def __post_init__(self) -> None:
        within("augment.validator", self.validator, 0.0, 1.0)
        within("augment.native", self.native, 0.0, 1.0)
        within("augment.sideways", self.sideways, 0.0, 1.0)
        within("augment.least", self.least, 0.1, 1.0)
        within("augment.camera", self.camera, 0.0, 4.0)
        within("augment.copies", self.copies, 1, 64)
        if abs(self.validator + self.native - 1.0) > 1e-6:
            raise RecipeError("augment.validator and augment.native are shares: they must add up to 1")


@dataclass(frozen=True, slots=True)
class RunRecipe:
    """How the machine is used."""

    batch: int = 64
    """Pictures a step on each device, before accumulation."""
    accumulate: int = 1
    """Batches whose gradients are added before a step."""
    precision: str = "auto"
    """`auto`: bf16 on a GPU that has it, else fp32; `bf16` or `fp32`."""
    checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, a third more time."""
    compile: bool = False
    """Compile the blocks: a minute at the start, faster afterwards."""
    graphs: bool = False
    """Replay each step as CUDA graphs, on a GPU without `checkpointing` and `fsdp`: launching kernels takes longer."""
    decoder: str = "cpu"
    """What decodes JPEGs: `cpu`, or `gpu`, which is faster where a processor cannot keep up."""
    workers: int = -1
    """Processes that decode; -1: as many as pay, none without a GPU. 0: threads decode."""
    cache: str = "memory"
    """Where decoded pictures are kept, so that only the first epoch decodes them: `memory`, `disk` or `none`."""
    cache_gib: float = 0.0
    """What they may take, 0.6 GiB for a thousand at 224 pixels; 0: half of what is free. The rest is decoded anew."""
    devices: int = 1
    """GPUs; 0: all that there are."""
    strategy: str = "auto"
    """`auto`, `ddp`: a copy of the network on each device, `fsdp`: its weights divided among them."""
    seed: int = 0
    log: str = "tensorboard"
    """`tensorboard`, `wandb` (offline unless WANDB_MODE says otherwise), or `none`."""
    save_minutes: float = 10.0
    """Between two checkpoints within an epoch; each epoch ends with one."""

    def __post_init__(self) -> None:
        within("run.batch", self.batch, 1, 65536)
        within("run.accumulate", self.accumulate, 1, 4096)
        one_of("run.precision", self.precision, ("auto", "bf16", "fp32"))
        within("run.cache_gib", self.cache_gib, 0.0, 1e6)
        within("run.devices", self.devices, 0, 1024)
        within("run.workers", self.workers, -1, 1024)
        one_of("run.cache", self.cache, ("memory", "disk", "none"))
        one_of("run.decoder", self.decoder, ("cpu", "gpu"))
        one_of("run.strategy", self.strategy, ("auto", "ddp", "fsdp"))
        within("run.seed", self.seed, 0, MAX_SEED)
        one_of("run.log", self.log, ("tensorboard", "wandb", "none"))
        within("run.save_minutes", self.save_minutes, 0.0, 1e6)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of it; a section that is left out has its defaults."""

    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    tune: TuneRecipe = field(default_factory=TuneRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    run: RunRecipe = field(default_factory=RunRecipe)

    def __post_init__(self) -> None:
        if self.run.strategy == "fsdp" and self.optimiser.ema:
            raise RecipeError("run.strategy = fsdp keeps no moving average: set optimiser.ema = 0")
        if self.run.strategy == "fsdp" and self.optimiser.kind == "muon":
            raise RecipeError(
                "run.strategy = fsdp divides the matrices that muon needs whole: set optimiser.kind = adamw"
            )
        if self.tune.method == "head" and self.run.devices != 1:
            raise RecipeError("tune.method = head learns on one device: set run.devices = 1")
        if self.tune.method == "head" and (self.loss.mixup or self.loss.cutmix):
            raise RecipeError("tune.method = head learns from what the backbone said: set loss.mixup and cutmix to 0")
