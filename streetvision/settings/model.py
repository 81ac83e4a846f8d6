"""The settings of the model: which one, on what, and how another takes its place."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    choice,
    declare,
    integer,
    number,
    parse_bool,
    parse_device,
    parse_repo,
)
from streetvision.subnet import SUBNET, PayWindow


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What answers; part of Settings."""

    model: str = declare(
        "",
        "--model",
        ("MODEL_URL", "MODEL"),
        "Model to start with: a version of the registry such as `1.2.0`, `hf:owner/name@tag` on Hugging Face, a folder "
        "with a checkpoint, or `bundled`, the small one in the package. Empty: the active version, else `bundled` on "
        "the mock network; required on public networks. A swap outlasts restarts until you change this.",
        str,
    )
    model_repo: str = declare(
        "",
        "--model.repo",
        "MODEL_REPO",
        "Your public repository on Hugging Face, `owner/name`: the miner and `streetvision doctor` check its card.",
        parse_repo,
    )
    model_full_pay_days: float = declare(
        SUBNET.model_full_pay_days,
        "--model.full_pay_days",
        "MODEL_FULL_PAY_DAYS",
        "Days for which the subnet pays a model in full; the miner warns ten days before.",
        number(0.1, 36500.0),
    )
    model_max_age_days: float = declare(
        SUBNET.model_max_age_days,
        "--model.max_age_days",
        "MODEL_MAX_AGE_DAYS",
        "Days after which the subnet pays nothing for a model; the warning is critical from then on.",
        number(0.1, 36500.0),
    )
    device: str = declare(
        "auto",
        "--device",
        "DEVICE",
        "`auto`, `cpu`, `cuda` or `cuda:N`; `auto` uses a GPU if there is one.",
        parse_device,
    )
    compile: bool = declare(
        True,
        "--compile",
        "MODEL_COMPILE",
        "On a GPU, compile models that the miner has no faster code for (torch.compile). No effect on a CPU.",
        parse_bool,
    )
    threads: int = declare(
        0,
        "--threads",
        "MODEL_THREADS",
        "CPU threads that the model computes on; 0: one per core, within a container's CPU limit.",
        integer(0, 1024),
    )
    precision: str = declare(
        "default",
        "--precision",
        "MODEL_PRECISION",
        "Number format that the model computes in. `default`: bfloat16 on a GPU, float32 on a CPU. `auto`: the fastest "
        "one in which the model passes its test. `fp8` (GPU), `int8` (CPU) and `bf16` name one; on a CPU it is used "
        "only if the model passes. See docs/machines.md.",
        choice("default", "auto", "bf16", "fp8", "int8"),
    )
    views_max_seconds: float = declare(
        1.0,
        "--views.max_seconds",
        "VIEWS_MAX_SECONDS",
        "Most seconds that a request waits for further views and ensemble members after its first answer. 0: the first "
        "member and one view only.",
        number(0.0, 8.0),
    )
    engine_max_megapixels: int = declare(
        70,
        "--engine.max_megapixels",
        "ENGINE_MAX_MEGAPIXELS",
        "Largest photo answered, in millions of pixels; larger ones are refused with 400.",
        integer(1, 1000),
    )
    engine_decode_memory_mib: int = declare(
        512,
        "--engine.decode_memory_mib",
        "ENGINE_DECODE_MEMORY_MIB",
        "Memory for decoding photos, in MiB, shared by all requests. A photo waits until enough of it is free; one "
        "that needs more than all of it is refused with 400.",
        integer(64, 1_048_576),
    )
    rollout_shadow_share: float = declare(
        1.0,
        "--rollout.shadow_share",
        "ROLLOUT_SHADOW_SHARE",
        "Share of the images that a shadow also computes, after the reply. `models shadow --share` overrides it.",
        number(0.001, 1.0),
    )
    rollout_canary_share: float = declare(
        0.1,
        "--rollout.canary_share",
        "ROLLOUT_CANARY_SHARE",
        "Share of the images that a canary answers. `models canary --share` overrides it.",
        number(0.001, 1.0),
    )
    rollout_min_samples: int = declare(
        200,
        "--rollout.min_samples",
        "ROLLOUT_MIN_SAMPLES",
        "Different images that a canary must be compared on before it may be promoted.",
        integer(1, 100_000),
    )
    rollout_min_agreement: float = declare(
        0.95,
        "--rollout.min_agreement",
        "ROLLOUT_MIN_AGREEMENT",
        "Share of images that a canary must decide as the serving model does (lower confidence bound).",
        number(0.0, 0.999),
    )
    rollout_max_error_rate: float = declare(
        0.01,
        "--rollout.max_error_rate",
        "ROLLOUT_MAX_ERROR_RATE",
        "Largest share of images that a canary may fail to answer.",
        number(0.0, 1.0),
    )
    rollout_max_p99_ratio: float = declare(
        3.0,
        "--rollout.max_p99_ratio",
        "ROLLOUT_MAX_P99_RATIO",
        "How many times slower (p99) a canary may be; ignored below 10 % of the deadline.",
        number(0.1, 1000.0),
    )
    rollout_max_shift: float = declare(
        0.1,
        "--rollout.max_shift",
        "ROLLOUT_MAX_SHIFT",
        "Largest mean difference in probability between a canary and the serving model.",
        number(0.0, 1.0),
    )
    rollout_keep_minutes: float = declare(
        10.0,
        "--rollout.keep_minutes",
        "ROLLOUT_KEEP_MINUTES",
        "Minutes for which the previous model stays loaded after a swap, so that a rollback is instant.",
        number(0.0, 1e5),
    )

    @property
    def pay_window(self) -> PayWindow:
        """For how long the subnet pays for a model."""
        return PayWindow(self.model_full_pay_days, self.model_max_age_days)

    def check_model(self) -> None:
        """ConfigError when settings do not go together."""
        if self.model_full_pay_days > self.model_max_age_days:
            raise ConfigError(
                "a model cannot be paid in full after it is paid nothing: --model.full_pay_days may not exceed "
                "--model.max_age_days"
            )
