"""`streetvision models combine`: an ensemble of versions that are here, one of them with test-time views, a router."""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.cli.models import app, progress_shown, standing_in
from streetvision.cli.models_router import RouteOptions, checked_wish, routed, router_text
from streetvision.cli.models_table import version_fields
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.errors import ConfigError, OperatorError
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.folder import CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE, read_config
from streetvision.models.router import ROUTER_FILE
from streetvision.models.views import PLAIN_TEXT
from streetvision.registry.registry import open_registry

if TYPE_CHECKING:
    from streetvision.evaluation.router_making import MadeRouter


@app.command()
def combine(
    version: Annotated[str, typer.Argument(metavar="X.Y.Z", help="Version of the ensemble.")],
    members: Annotated[
        list[str],
        typer.Argument(metavar="VERSION[:WEIGHT]...", help="Its members; under load the first one answers alone."),
    ],
    *,
    view: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIEW",
            help="A view beside the plain one: hflip, vflip, rot90, rot180, rot270, crop:0.8, scale:0.75, "
            "tiles:3x2@0.2, or a region with a flip, crop:0.8+hflip. Repeat it for several.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the ensemble.")] = "ensemble",
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the members into it, so that it can be published.")
    ] = False,
    route: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Ask the second of two members only where the first is `unsure`, where a picture is `far` from those "
            "it knows, or where `both` rules together say so.",
        ),
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DATA", help="The dataset that --route is fitted to.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of pictures that --route sends to the second member.")
    ] = 0.3,
    stack: Annotated[
        bool, typer.Option("--stack", help="With --route: weigh both answers by a regression, not by their mean.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Of fitting --route: auto, cpu, cuda or cuda:N. Default: the miner's.")
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Make an ensemble of versions that are here, with test-time views, or with a router between two of them."""
    settings = miner_settings(state_dir)
    registry = open_registry(settings.state_dir)
    folders = [registry.get(text.partition(":")[0]).folder for text in members]
    config = EnsembleConfig(
        name,
        version,
        tuple(_member(text, folder, copy=copy) for text, folder in zip(members, folders, strict=True)),
        (PLAIN_TEXT, *(view or ())),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    wish = checked_wish(RouteOptions(route, on, share, stack, device), config, registry)
    made = None if wish is None else routed(wish, config, folders, settings)
    with progress_shown(f"combining {version}") as progress:
        item = registry.add(
            lambda target: _fill(target, config, folders, made),
            f"combined from {', '.join(members)}",
            progress=progress,
        )
    if as_json:
        print_json(version_fields(item, standing_in(registry)))
    else:
        state = "ready to serve" if item.servable else f"may not serve: {item.why_not}"
        sys.stdout.write(f"{item.version}  {item.name}  {state}\n")
        if made is not None:
            sys.stdout.write(router_text(made) + "\n")


def _member(text: str, folder: Path, *, copy: bool) -> Member:
    version, colon, weight = text.partition(":")
    if not (folder / CONFIG_FILE).is_file():
        raise OperatorError(f"Model version {version} is an ensemble itself: name its members instead.")
    try:
        share = float(weight) if colon else 1.0
    except ValueError:
        raise ConfigError(f"The weight of {text!r} is not a number: write it as {version}:0.5.") from None
    sha256 = read_config(folder).sha256
    return Member(sha256, folder=version, weight=share) if copy else Member(sha256, version=version, weight=share)


def _fill(target: Path, config: EnsembleConfig, folders: list[Path], made: MadeRouter | None) -> None:
    if made is not None:
        config = _with_router(target, config, made)
    (target / ENSEMBLE_FILE).write_text(config.to_json(), encoding="utf-8")
    for member, folder in zip(config.members, folders, strict=True):
        if member.folder:
            (target / member.folder).mkdir()
            for name in (CONFIG_FILE, WEIGHTS_FILE):
                shutil.copyfile(folder / name, target / member.folder / name)


def _with_router(target: Path, config: EnsembleConfig, made: MadeRouter) -> EnsembleConfig:
    """Write what its distances are measured against; returns the description with the router."""
    sha256 = ""
    if made.known is not None:
        data = made.known.to_bytes()
        (target / ROUTER_FILE).write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
    return replace(config, router=made.fitted.config(sha256), card={**config.card, "router": made.facts})
