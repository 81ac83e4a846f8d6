"""`streetvision models swap|shadow|canary|promote|rollback|status`: steer the models of the running miner."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision.cli.live_progress import steps_shown
from streetvision.cli.live_report import status_report
from streetvision.cli.models import app
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json, terminal_width
from streetvision.control.client import SOCKET_NAME, call
from streetvision.errors import ConfigError

INTERRUPTED = 130

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version as `models list` prints it.")]

Force = Annotated[bool, typer.Option("--force", help="Even if its gates or its health took this version off before.")]


@app.command()
def swap(version: Version, force: Force = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Let another version answer: it is loaded, warmed and checked beside the old one, which serves until then."""
    _carry_out("swap", {"version": version, "force": force}, as_json, state_dir)


@app.command()
def shadow(
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="A version to look at.")] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Part of the images that it sees, 20% or 0.2. Default: the miner's setting."
        ),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="End what is tried, without a verdict on it.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Show a version images after the reply and compare its answers; nobody gets them."""
    if stop == (version is not None):
        raise ConfigError("name the version to look at, or end what is tried with --stop")
    if stop:
        _carry_out("stop_shadow", {}, as_json, state_dir)
    else:
        _carry_out("shadow", {"version": version, "share": share_of(share)}, as_json, state_dir)


@app.command()
def canary(
    version: Version,
    share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Part of the images it answers, 10% or 0.1. Default: the miner's setting."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Let a version answer a share of the images, until its gates promote it or roll it back by themselves."""
    _carry_out("canary", {"version": version, "share": share_of(share), "force": force}, as_json, state_dir)


@app.command()
def promote(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Default: what is tried as canary or shadow.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Let the canary or shadow answer everything, whatever its gates say; or a version that was rolled back before."""
    _carry_out("promote", {"version": version}, as_json, state_dir)


@app.command()
def rollback(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Take the canary out of the traffic; without one, go back to the last good version."""
    _carry_out("rollback", {}, as_json, state_dir)


@app.command()
def status(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Which versions are loaded, what is done with them, what the gates say, and the latest decisions."""
    fields = call(_socket(state_dir), "status")
    if as_json:
        print_json(fields)
    else:
        sys.stdout.write(status_report(fields, terminal_width()) + "\n")


def share_of(text: str | None) -> float | None:
    """A share as people write it, `20%` or `0.2`; ConfigError for anything that is not above 0 and at most 1."""
    if text is None:
        return None
    digits = text.strip().removesuffix("%")
    try:
        share = float(digits) / (100 if digits != text.strip() else 1)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"{text!r} is no share: write 20% or 0.2, above 0 and at most 100%")
    return share


def _carry_out(op: str, arguments: Mapping[str, Any], as_json: bool, state_dir: Path | None) -> None:
    """Ask the miner, show the steps on stderr and what came of it on stdout."""
    label = " ".join([op.replace("stop_shadow", "stop"), *filter(None, [arguments.get("version")])])
    try:
        with steps_shown(label) as show:
            result = call(_socket(state_dir), op, arguments, show)
    except KeyboardInterrupt:
        sys.stderr.write("the miner goes on with it: see `streetvision models status`\n")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(result)
    else:
        sys.stdout.write(f"{result['sentence']}\n")


def _socket(state_dir: Path | None) -> Path:
    return miner_settings(state_dir).state_dir / SOCKET_NAME
