"""`streetvision modal`: the model on GPUs at Modal, rented by the second."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.cli.agreeing import agree
from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.engine.transport import ModelPin
    from streetvision.models.versions import ModelVersion
    from streetvision.serverless.service import Charge, Service

app = typer.Typer(no_args_is_help=True, help="The model on GPUs at Modal, rented by the second.")


def now() -> datetime:
    """The clock of bills and bounds."""
    return datetime.now(UTC)


@app.command()
def deploy(
    versions: Annotated[
        list[str] | None, typer.Argument(metavar="[VERSION]...", help="Model versions. Default: the active one.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Upload models and deploy the app with the settings --modal.*; says first what it may cost."""
    from streetvision.cost.prices import read_prices
    from streetvision.serverless.deployment import check_money, deployed, rates, upload

    settings, prices = miner_settings(state_dir), read_prices()
    check_money(settings.modal, prices, now())
    service = _service(settings)
    models = [deployed(version) for version in _versions(settings, versions or [])]
    wanted, cost = settings.modal, rates(settings.modal, prices)
    agree(
        f"app {wanted.app}: up to {wanted.most} containers with {wanted.card}, ${cost.container_hour:.2f} an hour each "
        f"while it runs; {wanted.warm} kept warm (${cost.idle_month:,.0f} a month); at most ${wanted.month_usd:,.2f} a "
        "month",
        yes=yes,
        question="Deploy?",
        undone="nothing was deployed",
    )
    sent = upload(service, models)
    link = service.deploy(settings.precision)
    if as_json:
        told = {"models": [model.pin for model in models], "uploaded": [model.pin for model in sent]}
        print_json({"app": wanted.app, "link": link, **{name: _named(pins) for name, pins in told.items()}})
        return
    for model in models:
        sys.stdout.write(f"{_words(model.pin)}{', uploaded' if model in sent else ''}\n")
    sys.stdout.write(f"deployed: {link}\n")


@app.command()
def status(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show whether the app is deployed, its containers, the models there, and what this month has cost."""
    settings = miner_settings(state_dir)
    service = _service(settings)
    running, models = service.running(), service.uploaded()
    spent = sum(charge.usd for charge in service.charges(now()))
    if as_json:
        told = None if running is None else asdict(running)
        print_json(
            {
                "app": settings.modal.app,
                "running": told,
                "models": _named(models),
                "month_usd": spent,
                "most_usd": settings.modal.month_usd,
            }
        )
        return
    if running is None:
        sys.stdout.write(f"app {settings.modal.app} is not deployed: streetvision modal deploy\n")
    else:
        sys.stdout.write(f"app {settings.modal.app}: {running.containers} containers, {running.backlog} batches wait\n")
        sys.stdout.write(f"its page: {running.link}\n")
    sys.stdout.write(f"models: {', '.join(map(_words, models)) or 'none'}\n")
    sys.stdout.write(f"this month: ${spent:,.2f} of ${settings.modal.month_usd:,.2f}, up to the last whole hour\n")


@app.command()
def cost(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show what the app has cost this month, day by day, by Modal's own bill; `streetvision cost` estimates."""
    from streetvision.cost.prices import read_prices
    from streetvision.serverless.deployment import rates

    settings = miner_settings(state_dir)
    expected = rates(settings.modal, read_prices())
    found = _service(settings).charges(now())
    days, total = _by_day(found), sum(charge.usd for charge in found)
    if as_json:
        print_json({"days_usd": days, "month_usd": total, "most_usd": settings.modal.month_usd, **asdict(expected)})
        return
    for day, usd in days.items():
        sys.stdout.write(f"{day}  ${usd:>9,.2f}\n")
    sys.stdout.write(f"this month  ${total:,.2f} of ${settings.modal.month_usd:,.2f}, up to the last whole hour\n")
    sys.stdout.write(
        f"a container with {settings.modal.card}: ${expected.container_hour:.2f} an hour by the price table; "
        f"all of them: ${expected.worst_hour:.2f}\n"
    )


@app.command()
def down(
    *,
    models: Annotated[bool, typer.Option("--models", help="Take the models off the volume too.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Stop the app and its containers; miners go on with the embedded model."""
    settings = miner_settings(state_dir)
    service = _service(settings)
    was_there = service.running() is not None
    if was_there:
        service.stop()
    removed = service.uploaded() if models else []
    for pin in removed:
        service.remove(pin)
    if as_json:
        print_json({"app": settings.modal.app, "stopped": was_there, "removed": _named(removed)})
        return
    sys.stdout.write(f"app {settings.modal.app} {'is stopped' if was_there else 'was not deployed'}\n")
    if models:
        sys.stdout.write(f"{len(removed)} models are off the volume\n")


def _service(settings: Settings) -> Service:
    from streetvision.serverless.troubles import require_modal

    require_modal()
    from streetvision.serverless.service import Service

    return Service(settings.modal)


def _versions(settings: Settings, names: list[str]) -> list[ModelVersion]:
    """The named ones; without a name the one that the miner serves."""
    from streetvision.miner.model_choice import serving_model
    from streetvision.registry.registry import open_registry

    if not names:
        return [serving_model(settings)]
    registry = open_registry(settings.state_dir)
    return [registry.servable(name) for name in names]


def _named(pins: list[ModelPin]) -> list[dict[str, str]]:
    return [asdict(pin) for pin in pins]


def _words(pin: ModelPin) -> str:
    return f"{pin.version} ({pin.fingerprint[:12]})"


def _by_day(charges: list[Charge]) -> dict[str, float]:
    days: defaultdict[str, float] = defaultdict(float)
    for charge in charges:
        days[f"{charge.hour:%Y-%m-%d}"] += charge.usd
    return dict(days)
