"""Modal: the extra, its release, the token, the app, the version that serves, and the month's money. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from streetvision.doctor.bounds import parted
from streetvision.doctor.check import Check, ok, warning
from streetvision.errors import OperatorError
from streetvision.miner.model_choice import serving_model
from streetvision.serverless.troubles import PINNED, other_release
from streetvision.settings.modal import ModalSettings
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.serverless.service import Service

NAME = "backend"
_DEPLOY = "streetvision modal deploy"
Open = Callable[[ModalSettings], "Service"]


def open_service(settings: ModalSettings) -> Service:
    """The real one."""
    from streetvision.serverless.service import Service

    return Service(settings)


def check_modal(settings: Settings, now: float, opening: Open = open_service) -> Check:
    """Where `--backend modal` is set. The embedded model serves on: nothing here is a failure."""
    if find_spec("modal") is None:
        return warning(NAME, "Modal is not installed", "pip install 'streetvision[modal]'")
    if other := other_release():
        return warning(NAME, f"Modal {other} is installed, not {PINNED}", "pip install 'streetvision[modal]'")
    try:
        return _look(settings, opening(settings.modal), datetime.fromtimestamp(now, UTC))
    except OperatorError as error:
        evidence, remedy = parted(str(error))
        return warning(NAME, evidence, remedy or "See docs/modal.md.")


def _look(settings: Settings, service: Service, now: datetime) -> Check:
    wanted, running = settings.modal, service.running()
    if running is None:
        return warning(NAME, f"the app {wanted.app} is not deployed", _DEPLOY)
    serving = serving_model(settings).version
    if serving not in {pin.version for pin in service.uploaded()}:
        return warning(NAME, f"the app {wanted.app} has not the version {serving} that serves", _DEPLOY)
    spent = sum(charge.usd for charge in service.charges(now))
    money = f"${spent:,.2f} of ${wanted.month_usd:,.2f} this month"
    if spent >= wanted.month_usd:
        return warning(
            NAME, f"the month's money is spent: {money}", "Wait for the next month, or raise --modal.month_usd."
        )
    return ok(NAME, f"app {wanted.app}: {running.containers} containers, {money}")
