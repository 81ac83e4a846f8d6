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
        "A version of the registry such as `1.2.0`, a model on the hub as `hf:owner/name@tag`, a checkpoint folder, or "
        "`bundled` for the small embedded one. A swap holds over restarts while this stays as it is. Empty: the active "
        "version, else `bundled` on the mock network; required on public networks.",
        str,
        env=("MODEL_URL", "MODEL"),
    )
    repo: str = declare(
        "",
        "Your public repository on Hugging Face, `owner/name`: `streetvision doctor` looks at its model card.",
        parse_repo,
    )
    full_pay_days: float = declare(
        SUBNET.model_full_pay_days,
        "Age in days up to which the subnet pays for a model in full; ten days before, the miner warns.",
        number(0.1, 36500.0),
    )
    max_age_days: float = declare(
        SUBNET.model_max_age_days,
        "Age in days from which the subnet pays nothing for a model: from then on the warning is critical.",
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
        "Longest that a request waits for further views and members of an ensemble, once it has a first answer. "
        "0: the first member alone, one view.",
        number(0.0, 8.0),
    )


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What a photo may cost: `--engine.*`."""

    max_megapixels: int = declare(
        MAX_MEGAPIXELS,
        "Largest photo that is answered, in millions of pixels; a larger one gets 400.",
        integer(1, 1000),
    )
    decode_memory_mib: int = declare(
        DECODE_MEMORY_MIB,
        "Memory for decoding photos, all requests together, in MiB. A photo waits until its part is free; one that "
        "takes more than all of it gets 400.",
        integer(64, 1_048_576),
    )


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How another model takes the place of the one that serves: `--rollout.*`."""

    shadow_share: float = declare(
        1.0,
        "Share of the images that a shadow looks at after the reply, unless its command says another.",
        number(0.001, 1.0),
    )
    canary_share: float = declare(
        0.1, "Share of the images that a canary answers, unless its command says another.", number(0.001, 1.0)
    )
    min_samples: int = declare(
        200,
        "Different images on which a canary is compared with the serving model before it may be promoted.",
        integer(1, 100_000),
    )
    min_agreement: float = declare(
        0.95,
        "Share of equal decisions that a canary must surely reach (its lower confidence bound).",
        number(0.0, 0.999),
    )
    max_error_rate: float = declare(0.01, "Share of the images that a canary may fail on.", number(0.0, 1.0))
    max_p99_ratio: float = declare(
        3.0,
        "How many times slower (p99) a canary may be; ignored below 10 % of the deadline.",
        number(0.1, 1000.0),
    )
    max_shift: float = declare(
        0.1, "Mean difference in probability that a canary may show to the serving model's answers.", number(0.0, 1.0)
    )
    keep_minutes: float = declare(
        10.0,
        "Minutes for which the former model stays loaded after a switch, so that a rollback is instant.",
        number(0.0, 1e5),
    )
