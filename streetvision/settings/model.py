"""The settings of the model: which one, on what, and how another takes its place."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.base.defaults import DECODE_MEMORY_MIB, MAX_MEGAPIXELS, VIEW_SECONDS
from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    declare,
    integer,
    number,
    parse_repo,
)
from streetvision.subnet import SUBNET, PayWindow


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What answers, and for how long it is paid: `--model` and `--model.*`."""

    choice: str = declare(
        "",
        "Model to start with: a version of the registry such as `1.2.0`, `hf:owner/name@tag` on Hugging Face, a "
        "folder with a checkpoint, or `bundled`, the small one in the package. Empty: the active version, else "
        "`bundled` on the mock network; required on public networks. A swap outlasts restarts until you change this.",
        str,
        env=("MODEL_URL", "MODEL"),
    )
    repo: str = declare(
        "",
        "Your public repository on Hugging Face, `owner/name`: the miner and `streetvision doctor` check its card.",
        parse_repo,
    )
    full_pay_days: float = declare(
        SUBNET.model_full_pay_days,
        "Days for which the subnet pays a model in full; the miner warns ten days before.",
        number(0.1, 36500.0),
    )
    max_age_days: float = declare(
        SUBNET.model_max_age_days,
        "Days after which the subnet pays nothing for a model; the warning is critical from then on.",
        number(0.1, 36500.0),
    )

    @property
    def pay_window(self) -> PayWindow:
        """For how long the subnet pays for a model."""
        return PayWindow(self.full_pay_days, self.max_age_days)

    def __post_init__(self) -> None:
        if self.full_pay_days > self.max_age_days:
            raise ConfigError(
                "a model cannot be paid in full after it is paid nothing: --model.full_pay_days may not exceed "
                "--model.max_age_days"
            )


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How long a request may be looked at again: `--views.*`."""

    max_seconds: float = declare(
        VIEW_SECONDS,
        "Most seconds that a request waits for further views and ensemble members after its first answer. 0: the "
        "first member and one view only.",
        number(0.0, 8.0),
    )


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What a photo may cost: `--engine.*`."""

    max_megapixels: int = declare(
        MAX_MEGAPIXELS,
        "Largest photo answered, in millions of pixels; larger ones are refused with 400.",
        integer(1, 1000),
    )
    decode_memory_mib: int = declare(
        DECODE_MEMORY_MIB,
        "Memory for decoding photos, in MiB, shared by all requests. A photo waits until enough of it is free; one "
        "that needs more than all of it is refused with 400.",
        integer(64, 1_048_576),
    )


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How another model takes the place of the one that serves: `--rollout.*`."""

    shadow_share: float = declare(
        1.0,
        "Share of the images that a shadow also computes, after the reply. `models shadow --share` overrides it.",
        number(0.001, 1.0),
    )
    canary_share: float = declare(
        0.1, "Share of the images that a canary answers. `models canary --share` overrides it.", number(0.001, 1.0)
    )
    min_samples: int = declare(
        200,
        "Different images that a canary must be compared on before it may be promoted.",
        integer(1, 100_000),
    )
    min_agreement: float = declare(
        0.95,
        "Share of images that a canary must decide as the serving model does (lower confidence bound).",
        number(0.0, 0.999),
    )
    max_error_rate: float = declare(0.01, "Largest share of images that a canary may fail to answer.", number(0.0, 1.0))
    max_p99_ratio: float = declare(
        3.0,
        "How many times slower (p99) a canary may be; ignored below 10 % of the deadline.",
        number(0.1, 1000.0),
    )
    max_shift: float = declare(
        0.1, "Largest mean difference in probability between a canary and the serving model.", number(0.0, 1.0)
    )
    keep_minutes: float = declare(
        10.0,
        "Minutes for which the previous model stays loaded after a swap, so that a rollback is instant.",
        number(0.0, 1e5),
    )
