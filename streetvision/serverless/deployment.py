"""What a deployment puts at Modal, and what it may cost: decided before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from streetvision.cost.prices import HOURS, Prices
from streetvision.engine.transport import ModelPin
from streetvision.errors import OperatorError
from streetvision.models.ensemble import is_ensemble
from streetvision.models.folder import read_config
from streetvision.models.versions import ModelVersion
from streetvision.serverless.spending import hours_left
from streetvision.settings.modal import ModalSettings

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model that goes to Modal."""

    folder: Path
    pin: ModelPin


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars of the settings' containers."""

    container_hour: float
    idle_month: float
    """Of those that are kept warm, without a request."""
    worst_hour: float
    """With all of them busy."""


class Volume(Protocol):
    """What a deployment needs of the service."""

    def uploaded(self) -> list[ModelPin]:
        """The models there."""
        ...

    def upload(self, folder: Path, pin: ModelPin) -> None:
        """Put a model there."""
        ...

    def remove(self, pin: ModelPin) -> None:
        """Take a model away."""
        ...


def rates(settings: ModalSettings, prices: Prices) -> Rates:
    """Raises OperatorError for a card without a price."""
    hour = HOUR_S * prices.container_second(settings.card)
    return Rates(hour, settings.warm * hour * HOURS, settings.containers * hour)


def check_money(settings: ModalSettings, prices: Prices, now: datetime) -> None:
    """Refuse to keep containers warm for more than the month's bound; raises OperatorError."""
    hour = rates(settings, prices).container_hour
    if settings.warm * hour * hours_left(now) > settings.month_usd:
        raise OperatorError(
            f"{settings.warm} containers with {settings.card} kept warm cost ${settings.warm * hour:,.2f} an hour, "
            f"more than --modal.month_usd {settings.month_usd:g} until the month ends: raise it, or set --modal.warm 0"
        )


def deployed(version: ModelVersion) -> Deployed:
    """A version as it goes to Modal; raises OperatorError for one that does not fit a container."""
    from streetvision.runner.remote import pin_of  # brings torch

    if is_ensemble(version.folder):
        raise OperatorError(
            f"{version.version} is an ensemble, which takes several passes over a picture: those are computed here; "
            "deploy a single model"
        )
    return Deployed(version.folder, pin_of(version.version, read_config(version.folder)))


def upload(volume: Volume, models: Sequence[Deployed]) -> list[Deployed]:
    """Put those on the volume that are not there, in the place of others of the same version; returns them."""
    there = volume.uploaded()
    missing = [model for model in models if model.pin not in there]
    for model in missing:
        volume.upload(model.folder, model.pin)
    for old in there:
        if any(old.version == model.pin.version and old != model.pin for model in models):
            volume.remove(old)
    return missing
