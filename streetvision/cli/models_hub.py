"""`streetvision models publish` and `pull`: models on Hugging Face."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.base.paths import expanded
from streetvision.cli.models import app
from streetvision.cli.progress_lines import ProgressLines
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.errors import OperatorError
from streetvision.registry.registry import open_registry
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.hub.publish import PublishPlan
    from streetvision.models.versions import ModelVersion
    from streetvision.registry.model_import import ImportProgress

GIB = 2**30
COUNTED = ("hashing", "fetching", "copying")
"""Stages whose progress is in bytes."""

Hotkey = Annotated[
    str | None, typer.Option(help="The hotkey's address (ss58). Default: the miner's own wallet.", metavar="SS58")
]
WalletName = Annotated[str | None, typer.Option("--wallet.name", help="Wallet; default: the miner's setting.")]
WalletHotkey = Annotated[str | None, typer.Option("--wallet.hotkey", help="Hotkey name; default: the miner's setting.")]
WalletPath = Annotated[Path | None, typer.Option("--wallet.path", help="Folder of the wallets.")]


@app.command()
def publish(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version as `models list` prints it.")],
    *,
    repo: Annotated[str, typer.Option(help="Where to: owner/name.", metavar="OWNER/NAME")],
    description: Annotated[
        str, typer.Option(help="For model_card.json. Default: what the version's own card says.", metavar="TEXT")
    ] = "",
    license: Annotated[
        str | None, typer.Option(help="Licence identifier for the README: apache-2.0, other, ...", metavar="ID")
    ] = None,
    hotkey: Hotkey = None,
    wallet_name: WalletName = None,
    wallet_hotkey: WalletHotkey = None,
    wallet_path: WalletPath = None,
    yes: Annotated[bool, typer.Option("--yes", help="Upload. Without it this is a dry run.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Publish a version with model_card.json, a README and a tag vX.Y.Z; without --yes, only show what would go."""
    from streetvision.hub.publish import publish as publish_version

    settings = miner_settings(state_dir)
    registry = open_registry(settings.state_dir)
    found = registry.servable(version)
    address = hotkey or _hotkey(settings, wallet_name, wallet_hotkey, wallet_path)
    with _transfer("publishing") as progress:
        plan = publish_version(
            found,
            repo,
            hotkey=address,
            description=description,
            dry_run=not yes,
            license=license,
            find=lambda name: registry.get(name).folder,
            progress=progress,
            window=settings.model.pay_window,
        )
    if as_json:
        print_json(plan.as_dict())
    else:
        _show_plan(plan)


@app.command()
def pull(
    source: Annotated[
        str, typer.Argument(metavar="OWNER/NAME@TAG", help="A repository and a tag, branch or commit; default: main.")
    ],
    *,
    version: Annotated[
        str | None, typer.Option(help="Keep it under this version instead of its own.", metavar="X.Y.Z")
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="Label of a transformers classifier that means roadwork.", metavar="LABEL")
    ] = None,
    hotkey: Hotkey = None,
    max_gib: Annotated[float, typer.Option(min=0.001, max=1024.0, help="Refuse larger repositories.")] = 16.0,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Fetch a model into the registry; after an interruption the same command goes on where it stopped."""
    from streetvision.hub.files import parse_ref
    from streetvision.hub.pull import pull as pull_version

    settings = miner_settings(state_dir)
    ref, said = parse_ref(source), []

    def warn(sentence: str) -> None:
        said.append(sentence)
        typer.echo(f"warning: {sentence}", err=True)

    with _transfer(f"pulling {ref.repo}") as progress:
        found = pull_version(
            ref.repo,
            ref.revision,
            open_registry(settings.state_dir),
            version=version,
            positive=positive or (),
            hotkey=hotkey or _own_hotkey(settings, warn),
            limit_bytes=int(max_gib * GIB),
            progress=progress,
            warn=warn,
            window=settings.model.pay_window,
        )
    _show_pulled(found, said, as_json)


def _hotkey(settings: Settings, name: str | None, hotkey: str | None, path: Path | None) -> str:
    """The address of the hotkey's file; the coldkey is not touched."""
    from dataclasses import replace

    from streetvision.miner.from_settings import open_wallet  # brings the chain's SDK

    chosen = replace(
        settings,
        wallet=replace(
            settings.wallet,
            name=name or settings.wallet.name,
            hotkey=hotkey or settings.wallet.hotkey,
            path=expanded(path or settings.wallet.path),
        ),
    )
    return open_wallet(chosen).ss58_address


def _own_hotkey(settings: Settings, warn: Callable[[str], None]) -> str | None:
    """The hotkey to compare a card with, where a wallet is set up on this machine."""
    if not (settings.is_mock or settings.wallet.name or settings.wallet.hotkey):
        return None
    try:
        return _hotkey(settings, None, None, None)
    except OperatorError as error:
        warn(f"the card's hotkey is not compared with yours: {error}")
        return None


@contextmanager
def _transfer(label: str) -> Iterator[ImportProgress]:
    """A bar on stderr where that is a terminal, with huggingface_hub's own bars; lines now and then elsewhere."""
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # its __all__ is computed
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns of what is said in a sentence here
    if not console.is_terminal:
        disable_progress_bars()
        lines = ProgressLines()
        yield lambda stage, done, total: lines.show(f"{label}: {stage}", done, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def show(stage: str, done: int, total: int) -> None:
            counts = (done, total or None) if stage in COUNTED else (0, None)
            bar.update(task, description=f"{label}: {stage}", completed=counts[0], total=counts[1])
            if stage == "uploading":  # huggingface_hub shows how far that is
                bar.stop()

        yield show


def _show_plan(plan: PublishPlan) -> None:
    from streetvision.hub.card import card_text
    from streetvision.hub.files import size_text

    done, new = plan.commit is not None, {True: " (new, public)", False: "", None: " (not looked at)"}[plan.creates]
    lines = [f"{'published' if done else 'would publish'} {plan.version} to {plan.repo}{new} as tag {plan.tag}", ""]
    lines += [f"  {size_text(file.size):>11}  {file.sha256[:12]}  {file.path}" for file in plan.files]
    lines += [f"  {'removed' if done else 'goes away':>11}  {'':12}  {path}" for path in plan.removes]
    lines += [f"  {size_text(plan.total_bytes):>11}  in all", "", "model_card.json:", card_text(plan.card)]
    lines += [plan.url] if done else ["README.md:", plan.readme, "nothing was sent: --yes uploads this"]
    sys.stdout.write("\n".join(lines) + "\n")
    for note in plan.notes:
        typer.echo(f"warning: {note}", err=True)


def _show_pulled(found: ModelVersion, said: list[str], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "version": found.version,
                "name": found.name,
                "kind": found.kind,
                "source": found.source,
                "sha256": found.sha256,
                "folder": str(found.folder),
                "servable": found.servable,
                "why_not": found.why_not,
                "warnings": said,
            }
        )
        return
    state = "ready to serve" if found.servable else f"may not serve: {found.why_not}"
    sys.stdout.write(f"{found.version}  {found.name}  {state}\n{found.source}\n")
