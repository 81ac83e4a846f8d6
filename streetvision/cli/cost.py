"""`streetvision cost`: the monthly bill of each way to run one miner or many."""

from __future__ import annotations

import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.disk import sentences, write_atomically
from streetvision.base.paths import expanded
from streetvision.cli.log_options import log_folder
from streetvision.cli.shared import AsJson, StateDir, check_page, miner_settings, print_json
from streetvision.errors import ConfigError, OperatorError

if TYPE_CHECKING:
    from streetvision.cost.estimate import Estimate
    from streetvision.cost.traffic import Here, Traffic

MOST_HOTKEYS = 256
"""A subnet has no more UIDs."""
MOST_PER_SECOND = 1e6


def cost(
    *,
    hotkeys: Annotated[int, typer.Option(min=1, max=MOST_HOTKEYS, help="Miners, each with a hotkey of its own.")] = 1,
    card: Annotated[str, typer.Option(help="GPU to rent: t4, l4, a10, l40s, a100, h100 or h200.")] = "l4",
    model: Annotated[str, typer.Option(help="Size of the vision transformer: small, base or large.")] = "base",
    warm: Annotated[int, typer.Option(min=1, max=100, help="Modal containers kept warm, in the row that has any.")] = 1,
    per_second: Annotated[
        float | None, typer.Option(help="Requests a second of each miner, in place of the log's.", metavar="RATE")
    ] = None,
    since: Annotated[str, typer.Option(help="Count the log's requests from here: an age or a time.")] = "4w",
    measured_on: Annotated[
        str | None, typer.Option(help="This machine's device (cpu, l4, ...): take its speed from the log.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="Prices of your own, over the package's.")] = None,
    show_prices: Annotated[bool, typer.Option("--show_prices", help="Print the package's prices as a file.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the estimate as one HTML page.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Estimate the monthly bill: embedded, one shared card, Modal, Kubernetes; below and above the traffic."""
    from streetvision.cost.bills import Question
    from streetvision.cost.estimate import aged, estimate, estimate_fields, with_measured
    from streetvision.cost.prices import prices_text, read_prices
    from streetvision.cost.report_text import estimate_text
    from streetvision.cost.speeds import read_speeds

    if show_prices:
        sys.stdout.write(prices_text())
        return
    if report is not None:
        check_page(expanded(report))
    speeds = read_speeds()
    speeds.of(card, model)
    table = read_prices(None if prices is None else expanded(prices), devices=speeds.device)
    traffic, here = _traffic(per_second, since, state_dir)
    if measured_on is not None:
        speeds = with_measured(speeds, here, measured_on, model)
    found = estimate(Question(hotkeys, card, model, warm), traffic, speeds, table, here)
    old = aged(table, datetime.fromtimestamp(time.time(), UTC).date())
    if old:
        sys.stderr.write(f"note: {old}\n")
    if as_json:
        print_json(estimate_fields(found))
    else:
        sys.stdout.write(estimate_text(found) + "\n")
    if report is not None:
        _write_page(found, expanded(report))


def _traffic(per_second: float | None, since: str, state_dir: Path | None) -> tuple[Traffic, Here | None]:
    """As given, or as the log has it."""
    from streetvision.cost.traffic import logged, measured_here, steady
    from streetvision.prediction_log.reader import LogReader
    from streetvision.prediction_log.schema import DATABASE
    from streetvision.prediction_log.selection import select

    if per_second is not None:
        if not (math.isfinite(per_second) and 0 < per_second <= MOST_PER_SECOND):
            raise ConfigError(f"--per_second {per_second:g} is no rate: give one above 0, such as 0.05 or 20")
        return steady(per_second), None
    choice, folder = select(time.time(), since=since), log_folder(miner_settings(state_dir))
    if not (folder / DATABASE).is_file():
        raise OperatorError(
            f"there is no prediction log in {folder} to count requests in: give --per_second RATE, or name --state_dir"
        )
    with LogReader(folder) as reader:
        return logged(reader, choice), measured_here(reader, choice)


def _write_page(found: Estimate, page: Path) -> None:
    from streetvision.cost.report_page import render_page

    with sentences("Writing the page"):
        write_atomically(page, render_page(found, time.time()))
    sys.stderr.write(f"the estimate is in {page}\n")
