"""`streetvision models add siglip2:TAG`: its prompts, and its calibration on labelled pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streetvision.base.paths import expanded
from streetvision.cli.shared import progress_bar
from streetvision.errors import OperatorError
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.hub.siglip import PromptWishes


def prompt_wishes(prompts: Path | None, calibrate: str | None, settings: Settings) -> PromptWishes | None:
    """What the options say; None without them. Slips are told before anything is fetched."""
    if prompts is None and calibrate is None:
        return None
    from streetvision.hub.siglip import PromptWishes
    from streetvision.models.prompts import default_prompts, read_prompts

    chosen = default_prompts() if prompts is None else read_prompts(expanded(prompts))
    return PromptWishes(chosen) if calibrate is None else PromptWishes(chosen, _calibration(calibrate, settings))


def _calibration(name: str, settings: Settings) -> Callable[[Path], None]:
    """Fit a checkpoint in its folder to the dataset's split `val`, and tell what came of it."""
    from streetvision.sources.opening import open_dataset

    dataset = open_dataset(name, state=settings.state_dir)
    examples = dataset.examples(None)
    if not examples:
        raise OperatorError(f"{name} has no pictures: name another dataset with --calibrate.")
    from streetvision.evaluation.judging import Plan, Shown
    from streetvision.evaluation.predictions import Serving
    from streetvision.evaluation.recalibration import calibrated, check_pictures, rewrite
    from streetvision.evaluation.reward import Assumptions
    from streetvision.miner.from_settings import decode_limits

    shown = Shown(dataset.name, examples, dataset.fingerprint, len(getattr(dataset, "unusable", ())))
    check_pictures(shown)
    plan = Plan(Assumptions(0.5, 0.0, 0.0), 0, Serving(settings.device, decode_limits(settings), False))

    def calibrate(folder: Path) -> None:
        from streetvision.cli.evaluate_calibration import figures_text

        with progress_bar("calibrating", len(examples)) as progress:
            done = asyncio.run(calibrated(folder, shown, plan, progress=progress))
        rewrite(folder, done.fit, done.fit.before.version, done.facts)
        typer.echo(figures_text(done), err=True)

    return calibrate
