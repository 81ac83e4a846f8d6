"""`streetvision fleet status|logs|doctor`: what all miners do, what they say, and what is wrong."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from streetvision.base.wording import duration
from streetvision.cli.fleet_app import File, Names, app, opened
from streetvision.cli.shared import AsJson, print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from streetvision.doctor.check import Mark
    from streetvision.fleet.doctor import FleetReport
    from streetvision.fleet.fleet_file import Fleet
    from streetvision.fleet.keeper import Kept
    from streetvision.fleet.schema import FleetStatus, MinerRow

NOT_ALL = 1
"""Exit code of `status` while a miner does not serve."""
PIPE_WIDTH = 140
_COLOURS = {"serving": "green", "degraded": "yellow", "starting": "cyan", "draining": "cyan"}
_SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.5, max=3600.0, metavar="SECONDS", help="Between two looks of --watch.")
    ] = 2.0,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """All miners at a glance: state, rank, emission, requests, findings. Exit code 1 while one does not serve."""
    fleet = opened(file)
    with suppress(KeyboardInterrupt):
        if watch:
            _watch(fleet, interval, as_json)
        found = _look(fleet)
        _print(found, as_json)
        if found["totals"]["serving"] < found["totals"]["miners"]:
            raise typer.Exit(NOT_ALL)


def _look(fleet: Fleet) -> FleetStatus:
    from streetvision.fleet.overview import fleet_status

    return fleet_status(fleet, _kept(fleet))


def _kept(fleet: Fleet) -> Mapping[str, Kept]:
    from streetvision.fleet.asking import NotUp, kept_by

    try:
        return kept_by(fleet)
    except NotUp:
        return {}


def _print(found: FleetStatus, as_json: bool) -> None:
    if as_json:
        print_json(cast(dict[str, Any], found))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    console.print(view(found, console.width))


def _watch(fleet: Fleet, seconds: float, as_json: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        while True:
            _print(_look(fleet), as_json)
            sys.stdout.flush()
            time.sleep(seconds)
    _screen(fleet, seconds, console)


def _screen(fleet: Fleet, seconds: float, console: Console) -> None:
    from rich.live import Live

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(view(_look(fleet), console.width), refresh=True)
            time.sleep(seconds)


def view(found: FleetStatus, width: int) -> RenderableType:
    """A line for all, a row for each, then why one does not serve, and the findings."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from streetvision.fleet.wording import keeper_words
    from streetvision.status.wording import printable

    shown: FleetStatus = printable(found)
    totals = shown["totals"]
    every = totals["serving"] == totals["miners"]
    tao = "" if totals["tao_per_day"] is None else f" ({totals['tao_per_day']:.3g} TAO)"
    head = Text.assemble(
        ("streetvision fleet ", "bold"),
        (f"● {totals['serving']} of {totals['miners']} serving", "bold green" if every else "bold yellow"),
        f"  {totals['emission_per_day']:.4g} alpha a day{tao}, {totals['per_minute']:.3g} requests a minute",
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    columns = _columns(width)
    for name in columns:
        table.add_column(name, justify="left" if name in ("miner", "state", "findings") else "right", no_wrap=True)
    for row in shown["miners"]:
        cells = _cells(row, shown["taken_at"])
        table.add_row(*(cells[name] for name in columns))
    about = Text(f"{keeper_words(shown)}, {shown['file']}", style="dim")
    return Group(head, about, Text(), table, Text(), *_remarks(shown))


def _columns(width: int) -> list[str]:
    wide = ["miner", "state", "uid", "rank", "alpha a day", "evicted", "a minute", "p99 ms", "findings", "restarts"]
    return [*wide, "MiB", "up"] if width >= 110 else [name for name in wide if name not in ("evicted", "a minute")]


def _cells(row: MinerRow, now: float) -> dict[str, Any]:
    from rich.text import Text

    from streetvision.fleet.wording import emission_words, findings_words, rank_words
    from streetvision.status.wording import NOTHING, milliseconds

    def known(value: object, words: str) -> str:
        return NOTHING if value is None else words

    colour = _COLOURS.get(row["state"], "red")
    return {
        "miner": Text(row["name"], style="bold"),
        "state": Text(f"● {row['state']}", style=colour),
        "uid": known(row["uid"], f"{row['uid']}"),
        "rank": rank_words(row),
        "alpha a day": emission_words(row),
        "evicted": known(row["position"], f"{row['position']}"),
        "a minute": known(row["per_minute"], f"{row['per_minute'] or 0.0:.3g}"),
        "p99 ms": milliseconds(row["p99"]),
        "findings": Text(findings_words(row), style="yellow" if row["findings"] else ""),
        "restarts": Text(known(row["restarts"], f"{row['restarts']}"), style="yellow" if row["restarts"] else ""),
        "MiB": known(row["memory"], f"{(row['memory'] or 0) / 2**20:,.0f}"),
        "up": known(row["up_since"], duration(max(0.0, now - (row["up_since"] or now)))),
    }


def _remarks(found: FleetStatus) -> list[Any]:
    """Why a miner does not serve, and each finding once with the miners that have it."""
    from rich.text import Text

    from streetvision.fleet.wording import shared_findings, why_words

    lines: list[Any] = []
    for row in found["miners"]:
        if row["why"]:
            words, style = why_words(row, found["taken_at"]), _COLOURS.get(row["state"], "red")
            lines.append(Text.assemble((f"{row['name']}  ", "bold"), (words, style)))
    for (severity, title, remedy), names in shared_findings(found).items():
        lines.append(
            Text.assemble((f"{severity}  ", _SEVERITIES.get(severity, "")), (f"{', '.join(names)}: {title}", "bold"))
        )
        lines.append(Text(f"  {remedy}", style="dim"))
    return lines


@app.command()
def logs(
    names: Names = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="Of each miner, the newest.")] = 20,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """What the miners say; of several, each line with its miner's name."""
    from streetvision.fleet.log_lines import followed, newest

    fleet = opened(file)
    members = [fleet.member(name) for name in names] if names else list(fleet.members)
    width = 0 if len(members) == 1 else max(len(member.name) for member in members)
    with suppress(KeyboardInterrupt):
        for name, line in followed(members, lines) if follow else newest(members, lines):
            if as_json:
                print_json({"miner": name, "line": line})
                continue
            sys.stdout.write(f"{name:<{width}} | {line}\n" if width else f"{line}\n")
            sys.stdout.flush()


@app.command()
def doctor(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Each miner's whole report.")] = False,
    file: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="The reports as one JSON object.")] = False,
) -> None:
    """The doctor over all miners: what they share once, then what is wrong with each. Exit code 1 for a failure."""
    import asyncio

    from loguru import logger

    logger.remove()  # the checks say it
    fleet = opened(file)
    members = [fleet.member(name) for name in names] if names else list(fleet.members)
    from streetvision.fleet.doctor import examine_fleet  # brings the SDK

    report = asyncio.run(examine_fleet(fleet, members))
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report, everything)
    if report.failed:
        raise typer.Exit(1)


def _show(report: FleetReport, everything: bool) -> None:
    from streetvision.doctor.report import lines_of, section

    width = min(120, shutil.get_terminal_size((80, 24)).columns)
    everything |= len(report.miners) == 1
    _say(section("Fleet", report.checks, width))
    if not everything:
        _say(section("All miners", report.in_common(), width))
    for name, one in report.miners.items():
        if everything:
            typer.secho(name, bold=True)
            _say(lines_of(one, width))
            continue
        own = report.own_troubles(name)
        _say(section(name, own, width) if own else ((f"{name}\n  nothing of its own is wrong\n", None),))


def _say(lines: Iterable[tuple[str, Mark | None]]) -> None:
    from streetvision.doctor.report import COLOURS

    for line, mark in lines:
        style: dict[str, Any] = {} if mark is None else {"fg": COLOURS[mark]}
        typer.secho(line, **style)
