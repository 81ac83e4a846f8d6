"""The router of `streetvision models combine --route`: what is asked for, fitted with progress, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streetvision.cli.shared import progress_bar
from streetvision.errors import OperatorError
from streetvision.models.ensemble import EnsembleConfig
from streetvision.models.router import RULES, Rule
from streetvision.models.views import PLAIN_TEXT
from streetvision.registry.registry import Registry
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.evaluation.router_making import MadeRouter


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """As they were given."""

    rule: str | None
    dataset: str | None
    share: float
    stack: bool
    device: str | None


def checked_wish(options: RouteOptions, config: EnsembleConfig, registry: Registry) -> RouteOptions | None:
    """The options if there is to be a router, None otherwise; OperatorError for what does not fit together."""
    if options.rule is None:
        if options.dataset is not None or options.stack:
            raise OperatorError("--on and --stack belong to a router: say with --route when it asks the second member.")
        return None
    if options.rule not in RULES:
        raise OperatorError(f"There is no rule {options.rule!r}: name one of {', '.join(RULES)} with --route.")
    if options.dataset is None:
        raise OperatorError("A router is fitted to labelled pictures: name a dataset with --on.")
    if len(config.members) != 2:
        raise OperatorError(f"A router stands between two members, and {len(config.members)} are named.")
    if config.views != (PLAIN_TEXT,):
        raise OperatorError("A router shows its members the plain view alone: leave --view out.")
    if config.version in [there.version for there in registry.versions()]:
        raise OperatorError(f"Model version {config.version} exists already: choose another one.")
    return options


def routed(wish: RouteOptions, config: EnsembleConfig, folders: Sequence[Path], settings: Settings) -> MadeRouter:
    """Fit the router that was asked for; OperatorError for a dataset or a model that does not do."""
    from streetvision.sources.opening import open_dataset

    dataset = open_dataset(wish.dataset or "", state=settings.state_dir)
    from streetvision.evaluation.predictions import Serving  # brings torch, which a slip need not wait for
    from streetvision.evaluation.router_making import RouterWish, make_router, router_pictures
    from streetvision.miner.from_settings import decode_limits

    first, second = (member.weight for member in config.members)
    asked = RouterWish(cast(Rule, wish.rule), wish.share, wish.stack, (first, second))
    pictures = router_pictures(dataset, asked)
    total = len(pictures["train"]) + 2 * (len(pictures["val"]) + len(pictures["test"]))
    how = Serving(wish.device or settings.device, decode_limits(settings))
    with progress_bar("answering", total) as progress:
        return asyncio.run(make_router(folders, dataset, asked, how, progress=progress))


def router_text(made: MadeRouter) -> str:
    """What a terminal shows: how the router does beside the first member and both, where the fit did not look last."""
    lines = [made.fitted.config("0" * 64).words]
    for split in ("val", "test"):
        if split in made.facts:
            lines += ["", *_table(split, made.facts[split])]
    return "\n".join(lines)


def _table(split: str, facts: dict[str, Any]) -> list[str]:
    head = f"  on {split}, {facts['pictures']:,} pictures, {facts['asked']:.1%} asked"
    rows = [f"  {'':<10}{'accuracy':>10}{'mcc':>10}{'nll':>10}"]
    for name in ("first", "both", "router"):
        cells = (facts[name][figure] for figure in ("accuracy", "mcc", "nll"))
        rows.append(f"  {name:<10}" + "".join(f"{'-' if cell is None else format(cell, '.4f'):>10}" for cell in cells))
    return [head, *rows]
