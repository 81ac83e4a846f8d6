"""The group `streetvision fleet`, and the file that all of its commands read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.paths import current_folder

if TYPE_CHECKING:
    from streetvision.fleet.fleet_file import Fleet

app = typer.Typer(help="Several miners on one machine: one file, one page, one metrics port.", no_args_is_help=True)

File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The fleet's file. Default: FLEET_FILE, or ./fleet.toml.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A miner of the fleet, as its table is named.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Miners of the fleet; default: all.")]


def opened(file: Path | None) -> Fleet:
    """The fleet that is named; ConfigError with one sentence for anything in its file that cannot be."""
    from streetvision.fleet.fleet_file import find_file, load_fleet

    return load_fleet(find_file(file, os.environ, current_folder()))
