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
        "A version of the registry such as `1.2.0`, a model on the hub as `hf:owner/name@tag`, a checkpoint folder, or "
        "`bundled` for the small embedded one. A swap holds over restarts while this stays as it is. Empty: the active "
        "version, else `bundled` on the mock network; a public network wants a choice.",
        str,
    )
    model_repo: str = declare(
        "",
        "--model.repo",
        "MODEL_REPO",
        "Your public repository on Hugging Face, `owner/name`: `streetvision doctor` looks at its model card.",
        parse_repo,
    )
    model_full_pay_days: float = declare(
        SUBNET.model_full_pay_days,
        "--model.full_pay_days",
        "MODEL_FULL_PAY_DAYS",
        "Age in days up to which the subnet pays for a model in full; ten days before, the miner warns.",
        number(0.1, 36500.0),
    )
    model_max_age_days: float = declare(
        SUBNET.model_max_age_days,
        "--model.max_age_days",
        "MODEL_MAX_AGE_DAYS",
        "Age in days from which the subnet pays nothing for a model: from then on the warning is critical.",
        number(0.1, 36500.0),
    )
    device: str = declare(
        "auto",
        "--device",
        "DEVICE",
        "`auto`, `cpu`, `cuda` or `cuda:N`; auto takes a GPU where there is one.",
        parse_device,
    )
    compile: bool = declare(
        True,
        "--compile",
        "MODEL_COMPILE",
        "Compile the model (torch.compile) where no faster forward knows it. No effect on a CPU.",
        parse_bool,
    )
    threads: int = declare(
        0,
        "--threads",
        "MODEL_THREADS",
        "CPU threads of the model; 0: as many as there are cores, within a container's CPU limit.",
        integer(0, 1024),
    )
    precision: str = declare(
        "default",
        "--precision",
        "MODEL_PRECISION",
        "What the model computes in. `default`: bfloat16 on a GPU, float32 on a CPU. `auto`: the quickest that a test "
        "of the model allows. `fp8` (GPU), `int8` (CPU) and `bf16` name one; on a CPU they too serve only if the test "
        "allows. docs/machines.md has more.",
        choice("default", "auto", "bf16", "fp8", "int8"),
    )
    views_max_seconds: float = declare(
        1.0,
        "--views.max_seconds",
        "VIEWS_MAX_SECONDS",
        "Longest that a request waits for further views and members of an ensemble, once it has a first answer. "
        "0: the first member alone, one view.",
        number(0.0, 8.0),
    )
    engine_max_megapixels: int = declare(
        70,
        "--engine.max_megapixels",
        "ENGINE_MAX_MEGAPIXELS",
        "Largest photo that is answered, in millions of pixels; a larger one gets 400.",
        integer(1, 1000),
    )
    engine_decode_memory_mib: int = declare(
        512,
        "--engine.decode_memory_mib",
        "ENGINE_DECODE_MEMORY_MIB",
        "Memory for decoding photos, all requests together, in MiB. A photo waits until its part is free; one that "
        "takes more than all of it gets 400.",
        integer(64, 1_048_576),
    )
    rollout_shadow_share: float = declare(
        1.0,
        "--rollout.shadow_share",
        "ROLLOUT_SHADOW_SHARE",
        "Share of the images that a shadow looks at after the reply, unless its command says another.",
        number(0.001, 1.0),
    )
    rollout_canary_share: float = declare(
        0.1,
        "--rollout.canary_share",
        "ROLLOUT_CANARY_SHARE",
        "Share of the images that a canary answers, unless its command says another.",
        number(0.001, 1.0),
    )
    rollout_min_samples: int = declare(
        200,
        "--rollout.min_samples",
        "ROLLOUT_MIN_SAMPLES",
        "Different images on which a canary is compared with the serving model before it may be promoted.",
        integer(1, 100_000),
    )
    rollout_min_agreement: float = declare(
        0.95,
        "--rollout.min_agreement",
        "ROLLOUT_MIN_AGREEMENT",
        "Share of equal decisions that a canary must surely reach (its lower confidence bound).",
        number(0.0, 0.999),
    )
    rollout_max_error_rate: float = declare(
        0.01,
        "--rollout.max_error_rate",
        "ROLLOUT_MAX_ERROR_RATE",
        "Share of the images that a canary may fail on.",
        number(0.0, 1.0),
    )
    rollout_max_p99_ratio: float = declare(
        3.0,
        "--rollout.max_p99_ratio",
        "ROLLOUT_MAX_P99_RATIO",
        "p99 of a canary's forward pass to the serving model's; up to a tenth of the deadline any ratio will do.",
        number(0.1, 1000.0),
    )
    rollout_max_shift: float = declare(
        0.1,
        "--rollout.max_shift",
        "ROLLOUT_MAX_SHIFT",
        "Mean difference in probability that a canary may show to the serving model's answers.",
        number(0.0, 1.0),
    )
    rollout_keep_minutes: float = declare(
        10.0,
        "--rollout.keep_minutes",
        "ROLLOUT_KEEP_MINUTES",
        "Minutes for which the former model stays loaded after a switch, so that a rollback is instant.",
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
