"""`streetvision fleet init`: write a fleet's file, from the hotkeys of this machine and the settings of its miner."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.paths import current_folder, expanded
from streetvision.base.wording import plural
from streetvision.chain.hotkey_file import hotkey_names
from streetvision.cli.fleet_app import File, app
from streetvision.cli.shared import AsJson, print_json
from streetvision.errors import ConfigError
from streetvision.settings.env_file import Former, parsed, read_former, write
from streetvision.settings.fields import ENV_FILE_VARIABLE, setting
from streetvision.settings.flags import read_flags, unknown_sentence

if TYPE_CHECKING:
    from streetvision.fleet.writing import Draft


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def init(
    context: typer.Context,
    hotkeys: Annotated[
        list[str] | None,
        typer.Option("--hotkey", metavar="HOTKEY", help="One of them; may be repeated. Default: all of the wallet."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    *,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write a fleet's file: a miner for each hotkey, its port, and what they share. Takes the miner's flags too.

    The miner of --env_file, MINER_ENV or ./miner.env becomes the first of the fleet and keeps its port and its state
    folder; its other settings become those of all.
    """
    from streetvision.fleet.fleet_file import find_file
    from streetvision.fleet.writing import render

    target = find_file(file, os.environ, current_folder())
    if target.exists() and not overwrite:
        raise ConfigError(f"{target} exists: add --overwrite to replace it, or name another with --file")
    found, others = _drafted(context.args, hotkeys)
    typer.echo(f"{target}:\n\n{render(found, hide=True)}", err=True)
    for name in others:
        typer.echo(f"- {name} is no setting: put it into the environment of `streetvision fleet up`.", err=True)
    if not (yes or (sys.stdin.isatty() and typer.confirm("Write it?", default=True, err=True))):
        typer.echo("Nothing was written: add --yes.", err=True)
        raise typer.Exit(1)
    write(target, render(found))
    _tell(target, as_json)


def _drafted(words: list[str], hotkeys: list[str] | None) -> tuple[Draft, Iterable[str]]:
    """What is to be written, and the variables of miner.env that are no settings."""
    from streetvision.fleet.writing import draft

    flags, named, unknown = read_flags(words)
    if unknown or flags.refusals:
        raise ConfigError(unknown_sentence([*flags.refusals, *unknown]))
    shared = {name: said.text for name, said in flags.texts.items()}
    for name, text in shared.items():
        parsed(name, text)
    former = _former(named)
    return draft(shared, hotkeys or _hotkeys({**former.answers, **shared}), former.answers), former.others


def _tell(file: Path, as_json: bool) -> None:
    from streetvision.fleet.fleet_file import load_fleet

    members = load_fleet(file).members
    if as_json:
        print_json({"file": str(file), "miners": {member.name: member.settings.axon.port for member in members}})
    count = plural(len(members), "miner")
    typer.echo(f"Written for {count}, readable by you alone. Next: streetvision fleet doctor, then fleet up.", err=True)


def _former(named: str | None) -> Former:
    """The settings of the single miner, if there is one."""
    given = named or os.environ.get(ENV_FILE_VARIABLE)
    file = expanded(given) if given else current_folder() / "miner.env"
    if not file.exists() and not named:
        return Former({}, {}, ())
    return read_former(file)


def _hotkeys(said: dict[str, str]) -> list[str]:
    """All of the wallet that are on this machine; ConfigError when there is none."""
    folder = Path(parsed("wallet.path", said.get("wallet.path") or setting("wallet.path").default_text))
    wallet = folder / (said.get("wallet.name") or "default")
    found = hotkey_names(wallet)
    if not found:
        raise ConfigError(f"{wallet} has no hotkeys: name the wallet with --wallet.name, or each hotkey with --hotkey")
    return found
