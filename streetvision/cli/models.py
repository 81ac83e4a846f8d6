"""`streetvision models list|show|add|rm|verify`: the versions on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.cli.models_table import VersionRoles, version_fields, version_page, version_table
from streetvision.cli.progress_lines import ProgressLines
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, terminal_width
from streetvision.errors import OperatorError
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry, open_registry
from streetvision.rollout.blocklist import BLOCKLIST_FILE, Blocklist

if TYPE_CHECKING:
    from streetvision.registry.model_import import ImportProgress

NICE = 10
"""Of the commands that load a model."""

app = typer.Typer(no_args_is_help=True, help="Model versions: keep, check, swap, try, publish.")

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version as `models list` prints it.")]


@app.command("list")
def list_versions(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print every version: what it is, where it came from, whether it may serve and which one is active."""
    settings = miner_settings(state_dir)
    registry = open_registry(settings.state_dir)
    versions, standing = registry.versions(), standing_in(registry)
    if as_json:
        for item in versions:
            print_json(version_fields(item, standing))
    else:
        sys.stdout.write(version_table(versions, standing, terminal_width()) + "\n")
    if standing.active is None and settings.model.choice:
        typer.echo(
            f"No version is marked as active: the miner serves what --model names, {settings.model.choice}.", err=True
        )


@app.command()
def show(version: Version, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print all that is known of a version: hashes, network, metrics, card."""
    registry = open_registry(miner_settings(state_dir).state_dir)
    item = registry.get(version)
    fields = version_fields(item, standing_in(registry))
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(version_page(item, fields) + "\n")


@app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A checkpoint folder, a transformers ViT classifier's folder, "
            "hf:owner/name@tag, timm:TAG, or siglip2:TAG.",
        ),
    ],
    *,
    version: Annotated[
        str | None, typer.Option(help="Keep it under this version instead of its own.", metavar="X.Y.Z")
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="Label of a transformers classifier that means roadwork.", metavar="LABEL")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="For timm:TAG: the safetensors file, instead of the hub.", metavar="FILE")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="For siglip2:TAG: prompts as TOML, instead of the package's.", metavar="FILE")
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(help="For siglip2:TAG: fit temperature and threshold to this dataset.", metavar="DATASET"),
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Add a model: it is copied, loaded and tried on the golden pictures, and refused if it does not fit."""
    from streetvision.cli.models_siglip import prompt_wishes
    from streetvision.hub.importers import Wishes, add_model

    settings = miner_settings(state_dir)
    registry = open_registry(settings.state_dir)
    prompted = prompt_wishes(prompts, calibrate, settings)
    _stand_back()
    with progress_shown(f"adding {source}") as progress:
        wishes = Wishes(
            version, tuple(positive or ()), weights, prompted, progress, _warn, window=settings.model.pay_window
        )
        item = add_model(source, registry, wishes)
    if as_json:
        print_json(version_fields(item, standing_in(registry)))
    else:
        state = "ready to serve" if item.servable else f"may not serve: {item.why_not}"
        sys.stdout.write(f"{item.version}  {item.name}  {state}\n")


@app.command()
def rm(version: Version, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Delete a version; the active one, the last good one and members of ensembles stay."""
    settings = miner_settings(state_dir)
    registry = open_registry(settings.state_dir)
    if version and settings.model.choice == version:
        raise OperatorError(f"Model version {version} is what --model names: choose another one before you remove it.")
    registry.remove(version)
    if as_json:
        print_json({"removed": version})
    else:
        sys.stdout.write(f"removed {version}\n")


@app.command()
def verify(
    versions: Annotated[
        list[str] | None, typer.Argument(metavar="[VERSION]...", help="Default: every version.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Hash the files again, load the model and try it; exit code 1 when anything is wrong."""
    registry = open_registry(miner_settings(state_dir).state_dir)
    found = [registry.get(version) for version in versions] if versions else list(registry.versions())
    sound = True
    _stand_back()
    for item in found:
        with progress_shown(f"verifying {item.version}") as progress:
            problems = registry.verify(item.version, progress=progress)
        sound = sound and not problems
        if as_json:
            print_json({"version": item.version, "problems": problems})
        else:
            lines = [f"{item.version}  {problem}" for problem in problems] or [f"{item.version}  sound"]
            sys.stdout.write("\n".join(lines) + "\n")
    if not sound:
        raise typer.Exit(1)


def standing_in(registry: Registry) -> VersionRoles:
    """Which version is active, which a rollback brings back, which ones were rolled back and why."""
    blocklist = Blocklist(registry.folder / BLOCKLIST_FILE)

    def why_bad(item: ModelVersion) -> str | None:
        blocked = blocklist.get(item.version, item.sha256)
        return None if blocked is None else f"rolled back at {blocked.at}: {blocked.why}"

    return VersionRoles(registry.active(), registry.previous(), why_bad)


@contextmanager
def progress_shown(label: str) -> Iterator[ImportProgress]:
    """A bar on stderr where that is a terminal, lines now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        lines = ProgressLines()
        yield lambda stage, done, total: lines.show(f"{label}: {stage}", done, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def step(stage: str, done: int, total: int) -> None:
            bar.update(task, description=f"{label}: {stage}", completed=done, total=total or None)

        yield step


def _stand_back() -> None:
    """A miner may be serving on this machine: what runs here takes only the time that it leaves."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def _warn(sentence: str) -> None:
    typer.echo(f"warning: {sentence}", err=True)
