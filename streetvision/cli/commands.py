"""The list of commands. A command's module is imported when it runs: a mistyped one is told of in no time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from streetvision.cli.setting_hint import UsageError, explain
from streetvision.cli.spelling import with_underscores

PLAIN = None
"""No rich markup: its boxes break words and show a type beside every switch."""
WITH_MINER_FLAGS: Mapping[str, Any] = MappingProxyType({"allow_extra_args": True, "ignore_unknown_options": True})


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is defined, and how `streetvision --help` introduces it."""

    help: str
    """The first sentence of the command's own help."""
    modules: tuple[str, ...]
    """In `streetvision.cli`; the first defines it, the others add commands to it."""
    attribute: str
    """A function, or a Typer with commands of its own."""
    settings: Mapping[str, Any] | None = None


COMMANDS: Mapping[str, Entry] = {
    "demo": Entry(
        "Run the miner on the mock network against a simulated validator, and show what happens.", ("demo",), "demo"
    ),
    "challenge": Entry(
        "Send pictures to a miner as signed challenges, and say what came back.", ("challenge",), "challenge"
    ),
    "bench": Entry(
        "Time all runners and precisions on this machine with your model, and say which settings to use.",
        ("bench",),
        "bench",
    ),
    "cluster": Entry("Models that several miners share through Ray Serve.", ("cluster",), "app"),
    "completion": Entry(
        'Print the completion script: `eval "$(streetvision completion bash)"`, or save it where your shell looks.',
        ("completion",),
        "completion",
    ),
    "cost": Entry(
        "Estimate the monthly bill: embedded, one shared card, Modal, Kubernetes; below and above the traffic.",
        ("cost",),
        "cost",
    ),
    "doctor": Entry(
        "Check everything that a miner needs, and say why it does not earn. Takes the miner's flags too.",
        ("doctor",),
        "doctor",
        WITH_MINER_FLAGS,
    ),
    "fleet": Entry(
        "Several miners on one machine: one file, one page, one metrics port.",
        ("fleet_app", "fleet_init", "fleet", "fleet_view"),
        "app",
    ),
    "evaluate": Entry(
        "Judge a model on labelled pictures: accuracy, MCC, AUC, calibration, expected reward; or against another one.",
        ("evaluate",),
        "evaluate",
    ),
    "init": Entry(
        "Write miner.env by asking. Takes the miner's flags too: what they name is not asked for.",
        ("init",),
        "init",
        WITH_MINER_FLAGS,
    ),
    "predict": Entry(
        "Print P(roadwork) for each file; exit code 1 when any of them could not be answered.", ("predict",), "predict"
    ),
    "replay": Entry(
        "Answer logged images again and compare: the same version should repeat itself, another shows what it changes.",
        ("replay",),
        "replay",
    ),
    "report": Entry(
        "Write the status page to a file to share: no folders, private addresses or secrets; no running miner needed.",
        ("report",),
        "report",
    ),
    "status": Entry(
        "How the running miner stands: rank, emission, requests, latencies, model, validators, findings.",
        ("status",),
        "status",
    ),
    "register": Entry(
        "Register the hotkey: --register burn --register.max_burn TAO, or --register pow, and the miner's other flags.",
        ("register",),
        "register",
        {**WITH_MINER_FLAGS, "help_option_names": []},
    ),
    "alerts": Entry("Alerts: where they go, whether they arrive, what is told.", ("alerts",), "app"),
    "data": Entry(
        "Labelled pictures for training and judging: add, check, count and remove datasets.", ("data",), "app"
    ),
    "label": Entry("Ask a larger model for labels, and see where it disagrees.", ("label",), "app"),
    "log": Entry("Show and export the prediction log.", ("log",), "app"),
    "mine": Entry("Find, label and export the pictures worth learning from.", ("mine",), "app"),
    "synthesise": Entry(
        "Variations of labelled pictures: by night, in rain, with other works or without.", ("synthesise",), "app"
    ),
    "modal": Entry("The model on GPUs at Modal, rented by the second.", ("modal",), "app"),
    "train": Entry(
        "Train a model on datasets: `train --recipe quick --data NAME`, or `train CONFIG`.", ("train",), "app"
    ),
    "retrain": Entry(
        "Retrain the model on new labels, by night or now: gates decide whether it serves.",
        ("retrain", "retrain_rehearse"),
        "app",
    ),
    "video": Entry(
        "Find roadwork in videos: `video FILE`, a folder or s3://BUCKET/KEY.",
        ("video", "video_export", "video_review", "video_twelvelabs"),
        "app",
    ),
    "models": Entry(
        "Model versions: keep, check, swap, try, publish.",
        ("models", "models_combine", "models_hub", "models_live"),
        "app",
    ),
}


class Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer does not export its base class of commands
        if name not in self._loaded:
            self._loaded[name] = load(name, COMMANDS[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def load(name: str, entry: Entry) -> Any:  # noqa: ANN401 - as above
    """Import a command."""
    first, *_ = [import_module(f"streetvision.cli.{module}") for module in entry.modules]
    defined = getattr(first, entry.attribute)
    if isinstance(defined, typer.Typer):
        defined.rich_markup_mode = PLAIN
        command: Any = get_group(defined)
        command.name = name
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=PLAIN)
        app.command(name, context_settings=dict(entry.settings or {}))(defined)
        command = get_command(app)
    return with_underscores(command)


class CommandGroup(TyperGroup):
    """`streetvision` itself: knows every command's name and introduction without importing any."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**attributes)
        self.commands = Commands()  # type: ignore[assignment]  # nothing is added to it

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's signature
        """Run a command, with what the rooms log as sentences."""
        from streetvision.cli.command_log import log_in_words

        log_in_words()
        try:
            return super().invoke(ctx)
        except UsageError as error:
            explain(error)
            raise

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's signature
        """Their names, in the order of the list."""
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's signature
        """The help, from the list alone."""
        shown = copy.copy(self)
        shown.commands = {name: TyperCommand(name, callback=None, help=entry.help) for name, entry in COMMANDS.items()}
        TyperGroup.format_help(shown, ctx, formatter)
