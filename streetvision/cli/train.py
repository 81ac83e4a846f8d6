"""`streetvision train`: from labelled pictures to a version that serves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.log_text import one_line
from streetvision.base.paths import expanded
from streetvision.cli.default_group import DefaultGroup
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, stopping
from streetvision.cli.train_view import run_fields, run_page, run_table, shown
from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.settings import Settings
from streetvision.training.recipe import Recipe
from streetvision.training.wish import Wish, require_version

if TYPE_CHECKING:
    from streetvision.models.versions import ModelVersion
    from streetvision.registry.registry import Registry
    from streetvision.serverless.money import Money
    from streetvision.training.pictures import Pictures
    from streetvision.training.run_folder import RunFolder
    from streetvision.training.running import Surroundings

EXTRA = ("lightning", "peft")
"""What the extra `train` brings and every run needs."""
ON_HERE, ON_MODAL = "here", "modal"
MOST_USD = 1e5
HERE = "`--set model.weights=` a version, bundled, or a safetensors file of the backbone"


class Group(DefaultGroup):
    """`train CONFIG` and `train --recipe NAME` are `train run ...`."""

    default_command = "run"


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Train a model on datasets. `train CONFIG` and `train --recipe NAME` are short for `train run ...`; "
    "`train run --help` lists their options.",
)

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run as `train list` prints it.")]


@app.command()
def run(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="A recipe of your own, as TOML.")] = None,
    *,
    recipe: Annotated[str | None, typer.Option(help="A recipe that comes along: quick, lora or full.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="A dataset to learn from, by name; may be repeated.", metavar="NAME")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="A key of the recipe, such as run.batch=32.", metavar="SECTION.KEY=VALUE"),
    ] = None,
    version: Annotated[
        str, typer.Option(help="Version to add the model under; default: the next.", metavar="X.Y.Z")
    ] = "",
    resume: Annotated[str | None, typer.Option(help="Go on with a run that ended early.", metavar="RUN")] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="With --resume: learn no further, add the best weights until now.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, or cpu to leave the GPU alone.")] = "auto",
    on: Annotated[
        str, typer.Option(help="Where it learns: here, or modal, on a GPU with the settings --modal.*.")
    ] = ON_HERE,
    usd: Annotated[
        float | None, typer.Option(help="With --on modal: US dollars that this start may cost.", metavar="DOLLARS")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Train by a recipe and add the model to the registry; Ctrl-C stops it so that it can be resumed."""
    settings = miner_settings(state_dir)
    money = _money(on, usd, settings, finish=finish)
    if device not in ("auto", "cpu"):
        raise ConfigError(f"--device is auto or cpu, not {device!r:.40}")
    _require_extra()
    if resume is not None:
        _refuse_beside_resume(config, recipe, data, override)
        require_version(version)
        folder, pictures = _resumed(resume, settings, finish=finish)
    else:
        if finish:
            raise ConfigError("--finish belongs to --resume RUN")
        wish = Wish(*_recipe(config, recipe, data or [], override or []), version)
        if money is not None:
            _require_movable(wish.recipe)
        pictures = _pictures(wish.recipe.data.sets, settings)
        folder = _begun(wish, pictures, settings, as_json=as_json)
    again = version if resume is not None else ""
    _train(folder, pictures, settings, money, device=device, version=again, as_json=as_json)


@app.command("list")
def list_runs(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print every run: its recipe, how it stands, how well it does, what it became."""
    from streetvision.training.run_folder import all_runs

    rows = []
    for one in all_runs(miner_settings(state_dir).state_dir):
        try:
            rows.append(run_fields(one))
        except OperatorError as error:
            typer.echo(f"warning: {one_line(str(error))}", err=True)
    if as_json:
        for row in rows:
            print_json(row)
    else:
        sys.stdout.write(run_table(rows) + "\n")


@app.command()
def show(run: RunName, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Print all that is known of a run: recipe, validations, how to go on."""
    from streetvision.training.run_folder import find_run

    found = find_run(miner_settings(state_dir).state_dir, run)
    fields = run_fields(found) | {"validations": found.metrics()}
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(run_page(found, fields) + "\n")


def _require_extra() -> None:
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise OperatorError(
            f"training needs the extra `train`, and {missing[0]} is not there: pip install 'streetvision[train]'"
        )


def _refuse_beside_resume(*given: object) -> None:
    if any(given):
        raise ConfigError("--resume RUN goes on exactly as the run began: leave the recipe, --data and --set out")


def _recipe(config: Path | None, recipe: str | None, data: list[str], overrides: list[str]) -> tuple[Recipe, str]:
    """The recipe and what it is called."""
    from dataclasses import replace

    from streetvision.training.recipe_file import NAMED, named_recipe, read_recipe

    if (config is None) == (recipe is None):
        raise ConfigError(f"name one recipe: --recipe {', '.join(NAMED)}, or a file of your own")
    chosen = named_recipe(recipe or "", overrides) if config is None else read_recipe(expanded(config), overrides)
    if data:
        chosen = replace(chosen, data=replace(chosen.data, sets=tuple(data)))
    return chosen, recipe or str(config)


def _pictures(sets: tuple[str, ...], settings: Settings) -> Pictures:
    from streetvision.sources.opening import open_dataset
    from streetvision.training.pictures import gather

    return gather([open_dataset(name, state=settings.state_dir) for name in sets])


def _resumed(name: str, settings: Settings, *, finish: bool) -> tuple[RunFolder, Pictures | None]:
    """The run, and its pictures unless it learns no further: they may have changed or gone."""
    from streetvision.training.run_folder import find_run

    folder = find_run(settings.state_dir, name)
    return folder, None if finish else _pictures(folder.record().sets, settings)


def _begun(wish: Wish, pictures: Pictures, settings: Settings, *, as_json: bool) -> RunFolder:
    from streetvision.registry.registry import open_registry
    from streetvision.training.beginning import begin
    from streetvision.training.finishing import require_free
    from streetvision.training.starting import Origins, left_behind

    registry = open_registry(settings.state_dir)
    require_free(registry, wish.version)
    with shown(as_json) as view:
        origins = Origins(lambda repo: _fetched(repo, registry, view.importing), registry.get, registry.active())
        folder = begin(wish, pictures, settings.state_dir, origins, started=_now())
    if note := left_behind(wish.recipe.model, origins):
        typer.echo(f"warning: {note}", err=True)
    return folder


def _fetched(repo: str, registry: Registry, progress: Callable[[str, int, int], None]) -> Path:
    """Weights of a hub repository; kept below the registry until they are whole, so that a second attempt goes on."""
    from streetvision.hub.files import RepoRef
    from streetvision.hub.pull import fetch
    from streetvision.models.folder import WEIGHTS_FILE

    try:
        return fetch(RepoRef(repo), registry.folder / "pulls" / "train", progress=progress).folder / WEIGHTS_FILE
    except OperatorError as error:
        raise OperatorError(f"{error} Or begin with weights that are here: {HERE}.") from error


def _train(
    folder: RunFolder,
    pictures: Pictures | None,
    settings: Settings,
    money: Money | None,
    *,
    device: str,
    version: str,
    as_json: bool,
) -> None:
    from streetvision.registry.registry import open_registry
    from streetvision.training.keeping import Stopped
    from streetvision.training.running import Surroundings, train

    typer.echo(f"run {folder.name}", err=True)
    with shown(as_json) as view, stopping("stopping after this step") as stop:
        around = Surroundings(open_registry(settings.state_dir), view.tell, _now, stop, device, progress=view.importing)
        try:
            learning = None if money is None else partial(_learn_away, settings=settings, money=money)
            added = train(folder, pictures, around, version=version, learning=learning)
        except Stopped as stopped:
            raise Stopped(f"{stopped}: go on with `streetvision train --resume {folder.name}`") from stopped
    _show_added(added, folder, as_json)


def _money(on: str, usd: float | None, settings: Settings, *, finish: bool) -> Money | None:
    """What a training at Modal may cost; None for one here. Raises OperatorError before anything is made."""
    if on not in (ON_HERE, ON_MODAL):
        raise ConfigError(f"--on is {ON_HERE} or {ON_MODAL}, not {on!r:.40}")
    if on == ON_HERE:
        if usd is not None:
            raise ConfigError(f"--usd bounds a training at Modal: add --on {ON_MODAL}")
        return None
    if finish:
        raise ConfigError("--finish learns no further: leave --on out")
    if usd is None or not 0.0 < usd <= MOST_USD:
        raise ConfigError("a training at Modal costs money: say how much it may with --usd, such as --usd 5")
    from streetvision.cost.prices import read_prices
    from streetvision.serverless.troubles import require_modal

    require_modal()
    from streetvision.serverless.money import money_of

    money = money_of(settings.modal, usd, read_prices())
    typer.echo(
        f"at Modal with {settings.modal.card}: ${3600 * money.per_s:.2f} an hour by the price table, at most "
        f"{money.seconds / 60:,.0f} minutes of learning for ${usd:,.2f}",
        err=True,
    )
    return money


def _require_movable(recipe: Recipe) -> None:
    from streetvision.serverless.away import require_movable

    require_movable(recipe)


def _learn_away(folder: RunFolder, pictures: Pictures, around: Surroundings, settings: Settings, money: Money) -> None:
    from streetvision.serverless.away import learn_away
    from streetvision.serverless.training_app import ModalPlace

    with ModalPlace(settings.modal) as place:
        learn_away(folder, pictures, around, place, money)


def _show_added(added: ModelVersion, folder: RunFolder, as_json: bool) -> None:
    if as_json:
        done = {"event": "done", "run": folder.name, "version": added.version, "folder": str(added.folder)}
        print_json(done | {"servable": added.servable, "why_not": added.why_not, "metrics": dict(added.metrics)})
        return
    figures = added.metrics
    said = f"accuracy {figures['accuracy']:.3f}, MCC {figures['mcc']:.3f}, AUC {figures['auc']:.3f} on val"
    sys.stdout.write(f"{added.version}  {added.name}  {said}\n")
    follow = f"let it serve: streetvision models swap {added.version}"
    typer.echo(follow if added.servable else f"it may not serve: {added.why_not}", err=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
