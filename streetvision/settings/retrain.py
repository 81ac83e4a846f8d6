"""The settings of retraining."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import declare, integer, number, one_of, parse_bool, parse_cron, parse_names


@dataclass(frozen=True, kw_only=True)
class RetrainSettings:
    """How the model is retrained on what the miner met: `--retrain.*`."""

    schedule: str = declare(
        "0 2 * * *",
        "When `streetvision retrain serve` begins a run, as five fields of cron, in UTC.",
        parse_cron,
    )
    jitter_minutes: float = declare(
        10.0, "Begin up to so many minutes later, at random: not all miners at once.", number(0.0, 720.0)
    )
    datasets: str = declare(
        "",
        "Datasets to learn from, by name, and folders of training sets that `streetvision mine export` wrote; "
        "separated by commas. Required where --retrain.mine is off.",
        parse_names,
    )
    frozen: str = declare(
        "",
        "Datasets that every new model is judged on and none ever learns from, by name. Required.",
        parse_names,
    )
    mine: bool = declare(
        True, "First export what you labelled with `streetvision mine`, where its extra is installed.", parse_bool
    )
    min_labels: int = declare(
        200, "Begin no run before there are so many labelled pictures that no run has used yet.", integer(1, 1_000_000)
    )
    recipe: str = declare("lora", "Recipe to train by: `quick`, `lora`, `full`, or a file of your own.", str)
    device: str = declare(
        "auto", "Where to train: `auto`, or `cpu` to leave the GPU to serving.", one_of("auto", "cpu")
    )
    on: str = declare(
        "here",
        "Where the training of a run learns: `here`, or `modal`, on a GPU with the settings --modal.* (docs/modal.md); "
        "the gates judge here.",
        one_of("here", "modal"),
    )
    usd: float = declare(
        5.0, "US dollars that one training at Modal may cost; one that is not done then is ended.", number(0.01, 1e5)
    )
    gpu_share: float = declare(
        0.25,
        "Share of the GPU's multiprocessors that training may use beside serving, where NVIDIA's MPS runs (without it "
        "both take turns); 1: no bound.",
        number(0.05, 1.0),
    )
    memory_gib: float = declare(
        16.0, "Memory that training may take, in GiB; it is ended when it takes more.", number(0.5, 4096.0)
    )
    nice: int = declare(
        10,
        "How far the work of a run steps back behind other processes, as `nice` counts; 10: about a tenth of what "
        "another busy process gets.",
        integer(0, 19),
    )
    max_hours: float = declare(12.0, "Hours after which a training that is not done is ended.", number(0.01, 720.0))
    gpu_hours: float | None = declare(
        None, "GPU hours that runs may take in a calendar month; empty: no bound.", number(0.0, 100_000.0)
    )
    gpu_price: float = declare(
        0.0, "What one GPU hour costs you, in any currency; 0 for a card of your own.", number(0.0, 10_000.0)
    )
    budget: float | None = declare(
        None,
        "Money that runs may cost in a calendar month, in the currency of --retrain.gpu_price; empty: no bound.",
        number(0.0, 1e9),
    )
    accept: str = declare(
        "better",
        "`better`: a new model must be better beyond chance. `not_worse`: it may be as good, as where only its age "
        "counts.",
        one_of("better", "not_worse"),
    )
    min_agreement: float = declare(
        0.85,
        "Share of yesterday's requests that a new model must decide as the serving one does.",
        number(0.0, 1.0),
    )
    max_loss: float = declare(
        0.02,
        "Accuracy that a new model may turn out to lose on --retrain.frozen, by the lower end of the interval.",
        number(0.0, 1.0),
    )
    max_doubt: float = declare(
        0.25,
        "Share of the new labels that the serving model and a probe may both contradict before a run refuses them.",
        number(0.0, 1.0),
    )
    deploy: bool = declare(
        True, "Let the running miner try a new model and promote it; false: publish it and wait for you.", parse_bool
    )
    shadow_minutes: float = declare(
        30.0,
        "Most minutes for which a new model computes beside the serving one before it answers; 0: none.",
        number(0.0, 10_080.0),
    )
    canary_share: float = declare(
        0.1, "Share of the requests that a new model answers before it is promoted.", number(0.001, 1.0)
    )
    canary_minutes: float = declare(60.0, "Most minutes to wait for the canary's verdict.", number(0.1, 10_080.0))
    publish: bool = declare(False, "Upload each promoted model to --model.repo, with tag and card.", parse_bool)
    tracking: bool = declare(False, "Send the curves of each run to W&B (WANDB_MODE, WANDB_PROJECT).", parse_bool)
    max_idle_days: float = declare(
        14.0, "Warn when no run has come to a decision for so many days; 0: never.", number(0.0, 3650.0)
    )

    def __post_init__(self) -> None:
        if both := set(self.dataset_names) & set(self.frozen_names):
            raise ConfigError(f"{min(both)} stands in --retrain.frozen, which is never learnt from: take it out of one")
        if self.budget is not None and self.gpu_price == 0:
            raise ConfigError("--retrain.budget needs the price of a GPU hour: set --retrain.gpu_price")
        if self.on == "modal" and self.gpu_price == 0:
            raise ConfigError("--retrain.on modal costs money: set --retrain.gpu_price (`streetvision modal cost`)")
        if self.on == "modal" and self.tracking:
            raise ConfigError("--retrain.tracking is for trainings here: the key of W&B is not sent to Modal")

    @property
    def is_configured(self) -> bool:
        """Whether the operator named what a run needs."""
        return bool(self.frozen) and self.learns

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn from."""
        return self.mine or bool(self.dataset_names)

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """What is learnt from, one by one."""
        return _split(self.datasets)

    @property
    def frozen_names(self) -> tuple[str, ...]:
        """What is judged on alone, one by one."""
        return _split(self.frozen)


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
