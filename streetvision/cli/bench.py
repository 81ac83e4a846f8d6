"""`streetvision bench`: which runner, precision and threads serve a model quickest on this machine?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streetvision.cli.shared import miner_settings, print_json
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import choose_checkpoint

if TYPE_CHECKING:
    from streetvision.engine.types import Runner
    from streetvision.runner.timing import Candidate, Timed

BATCHES = (1, 8)
BAR = 24
VARIABLES = {"runner": "MODEL_RUNNER", "precision": "MODEL_PRECISION", "threads": "MODEL_THREADS"}
"""Where miner.env has what is recommended."""


def bench(
    model: Annotated[str, typer.Option(help="Version, folder or `bundled`; default: what the miner would serve.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; default: the setting's.")] = "",
    seconds: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="How long to time the candidates, after they are judged.")
    ] = 40.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each candidate, then the advice.")
    ] = False,
) -> None:
    """Time all runners and precisions on this machine with your model, and say which settings to use.

    A precision that moves answers is judged first, as at the miner's start, and the verdict is kept for it. Let nothing
    else run meanwhile; a miner that serves makes all of them slower alike.
    """
    settings = miner_settings(None)
    settings = replace(settings, model=replace(settings.model, choice=model or settings.model.choice))
    checkpoint = choose_checkpoint(settings)
    from streetvision.models.ensemble import is_ensemble

    if is_ensemble(checkpoint):
        raise OperatorError(f"{checkpoint.name} is an ensemble: name one of its members with --model")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    bench_of = _Bench(checkpoint, device or settings.device, settings.state_dir / "precision")
    rows = bench_of.run(seconds)
    advice = _advice(rows)
    if as_json:
        for row in rows:
            print_json(_fields(row))
        print_json({"kind": "recommended", **advice})
    else:
        sys.stdout.write("\n".join([*_table(rows), "", *_words(rows, advice)]) + "\n")


class _Bench:
    """Opens candidates, times them, and the best one on fewer threads."""

    def __init__(self, checkpoint: Path, device: str, verdicts: Path) -> None:
        self._checkpoint, self._device, self._verdicts = checkpoint, device, verdicts

    def run(self, seconds: float) -> list[Timed]:
        from streetvision.base.resources import usable_threads
        from streetvision.engine.types import RunnerFailure
        from streetvision.runner.devices import device_kind
        from streetvision.runner.order import installed
        from streetvision.runner.timing import candidates, recommended, timed, with_threads

        kind = device_kind(self._device)
        try:
            opened = [(candidate, self._open(candidate)) for candidate in candidates(kind, installed())]
            rows = timed(opened, BATCHES, seconds, told=_tell)
            best = recommended(rows).candidate
            fewer = [] if kind != "cpu" else with_threads(best, usable_threads())
            if fewer:
                base = next(one for one in opened if one[0] == best)
                again = timed([base, *((one, self._open(one)) for one in fewer)], BATCHES, seconds / 4, told=_tell)
                scale = next(row for row in rows if row.candidate == best).times
                rows += [_scaled(row, scale) for row in again[1:]]
        except RunnerFailure as error:
            raise OperatorError(f"the model in {self._checkpoint} cannot run here: {error}") from error
        return rows

    def _open(self, candidate: Candidate) -> Runner:
        from streetvision.runner.opening import open_runner

        threads = f", {candidate.threads} threads" if candidate.threads else ""
        typer.echo(f"opening {candidate.runner}, precision {candidate.precision}{threads}", err=True)
        runner = open_runner(
            self._checkpoint,
            device=self._device,
            threads=candidate.threads or None,
            buckets=BATCHES,
            precision=candidate.precision,
            verdicts=self._verdicts,
            runner=candidate.runner,
        )
        runner.warmup(BATCHES)
        return runner


def _scaled(row: Timed, scale: Sequence[float]) -> Timed:
    """What was timed beside the best one, in times of today's default."""
    return replace(row, times=tuple(one * times for one, times in zip(scale, row.times, strict=True)))


def _tell(share: float) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\rtiming {share:4.0%}" + ("\n" if share >= 1.0 else ""), err=True, nl=False)


def _advice(rows: Sequence[Timed]) -> dict[str, Any]:
    from streetvision.runner.timing import recommended

    best = recommended(rows)
    return {**asdict(best.candidate), "times": best.times[0], "ms": best.ms[0]}


def _fields(row: Timed) -> dict[str, Any]:
    return {
        "kind": "candidate",
        **asdict(row.candidate),
        "served_by": None if row.served_by is None else asdict(row.served_by),
        "ms": dict(zip(map(str, BATCHES), row.ms, strict=True)),
        "times": dict(zip(map(str, BATCHES), row.times, strict=True)),
    }


def _table(rows: Sequence[Timed]) -> list[str]:
    """A line and a bar for each: the longer the slower, for one picture."""
    slowest = max(row.ms[0] for row in rows)
    head = f"{'runner':<9} {'precision':<9} {'serves':<9} {'threads':>7} {'1, ms':>8} {'8, ms':>8} {'times':>6}"
    lines = [head]
    for row in rows:
        bar = "█" * max(1, round(BAR * row.ms[0] / slowest))
        serves = row.served_by.precision if row.served_by else "?"
        threads = row.candidate.threads or "all"
        lines.append(
            f"{row.candidate.runner:<9} {row.candidate.precision:<9} {serves:<9} {threads:>7} {row.ms[0]:>8.1f} "
            f"{row.ms[1]:>8.1f} {row.times[0]:>6.2f}  {bar}"
        )
    return lines


def _words(rows: Sequence[Timed], advice: dict[str, Any]) -> list[str]:
    lines = [f"{VARIABLES[name]}={advice[name]}" for name in VARIABLES]
    told = [f"Quickest for one picture, {advice['times']:.2f} times torch's default. In miner.env:", *lines]
    reasons = {row.served_by.reason for row in rows if row.served_by and row.candidate.precision == "auto"}
    return [*told, "", *sorted(reasons)]
