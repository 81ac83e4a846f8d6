"""Modal itself, as far as we use it: the deployed app, and what the commands do. Imports the extra `modal`.

Everything of Modal's comes from `sdk`, so that tests put another in its place.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import modal

from streetvision.engine.transport import ModelPin
from streetvision.errors import OperatorError, reason
from streetvision.models.folder import CONFIG_FILE, WEIGHTS_FILE
from streetvision.serverless.app import CLASS, make_app, volume_of
from streetvision.serverless.spending import Bill, last_hour, month_begin
from streetvision.serverless.troubles import modal_sentences
from streetvision.settings.modal import ModalSettings

STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """The app at this moment."""

    containers: int
    backlog: int
    """Batches that wait for one."""
    link: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What the app cost in an hour."""

    hour: datetime
    usd: float
    by_resource: dict[str, float]


class DeployedApp:
    """The app that requests go to; an `App` of transport.py."""

    def __init__(self, settings: ModalSettings, sdk: Any = modal) -> None:  # noqa: ANN401 - Modal's module, or a test's
        self._settings, self._sdk = settings, sdk
        self._model = _found(settings, sdk)()

    async def answer(self, head: dict[str, Any], block: bytes) -> object:
        """A container's answer; raises what Modal raises."""
        return await self._model.answer.remote.aio(head, block)

    async def bill(self, now: datetime) -> Bill:
        """This month's, up to the last whole hour."""
        begin, end = month_begin(now), last_hour(now)
        if end <= begin:
            return Bill(0.0, begin)
        items = await self._sdk.Workspace.from_context().billing.report.aio(start=begin, end=end, resolution="h")
        return Bill(sum(charge.usd for charge in charges(items, self._settings)), end)

    async def keep_none_warm(self) -> None:
        """Let all containers stop when they are idle, until the next deployment."""
        await self._model.update_autoscaler.aio(min_containers=0)


class Service:
    """What `streetvision modal` does; every method raises OperatorError."""

    def __init__(self, settings: ModalSettings, sdk: Any = modal) -> None:  # noqa: ANN401 - as above
        self._settings, self._sdk = settings, sdk

    def uploaded(self) -> list[ModelPin]:
        """The models on the volume; none where there is no volume yet."""
        with modal_sentences("reading the volume"):
            try:
                paths = [entry.path.strip("/").split("/") for entry in self._volume().listdir("/", recursive=True)]
            except self._sdk.exception.NotFoundError:
                return []
        return [ModelPin(*parts[:2]) for parts in sorted(paths) if parts[2:] == [CONFIG_FILE]]

    def upload(self, folder: Path, pin: ModelPin) -> None:
        """Put a checkpoint's two files onto the volume; they appear together, as a batch is one commit."""
        with modal_sentences("uploading the model"), self._volume().batch_upload(force=True) as batch:
            for name in (CONFIG_FILE, WEIGHTS_FILE):
                batch.put_file(str(folder / name), f"/{pin.version}/{pin.fingerprint}/{name}")

    def remove(self, pin: ModelPin) -> None:
        """Take a model off the volume."""
        with modal_sentences("removing the model"):
            self._volume().remove_file(f"/{pin.version}/{pin.fingerprint}", recursive=True)

    def deploy(self, precision: str) -> str:
        """Deploy the app: new containers take over as they become ready. Returns its page."""
        with modal_sentences("deploying the app"):
            app = make_app(self._settings, precision)
            app.deploy(environment_name=self._settings.environment or None)
            return str(app.get_dashboard_url())

    def running(self) -> Running | None:
        """How the app is; None while it is not deployed."""
        with modal_sentences("asking for the app"):
            try:
                found = _found(self._settings, self._sdk)
                stats = found().answer.get_current_stats()
            except self._sdk.exception.NotFoundError:
                return None
            return Running(stats.num_total_runners, stats.backlog, str(found.get_dashboard_url()))

    def charges(self, now: datetime) -> list[Charge]:
        """Of this month, hour by hour up to the last whole one."""
        begin, end = month_begin(now), last_hour(now)
        if end <= begin:
            return []
        with modal_sentences("looking up the bill"):
            items = self._sdk.Workspace.from_context().billing.report(start=begin, end=end, resolution="h")
            return charges(items, self._settings)

    def stop(self, run: Callable[..., Any] = subprocess.run) -> None:
        """End the app and its containers; the volume stays. Modal offers that by its own command alone."""
        words = [sys.executable, "-m", "modal", "app", "stop", self._settings.app, "--yes"]
        words += ["--env", self._settings.environment] if self._settings.environment else []
        try:
            done = run(words, capture_output=True, text=True, check=False, timeout=STOP_S)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise OperatorError(
                f"the app cannot be stopped ({reason(error)}): try again, or stop it on its page at Modal"
            ) from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise OperatorError(f"the app cannot be stopped ({said[-1] if said else 'no reason was given'})")

    def _volume(self) -> Any:  # noqa: ANN401 - Modal's
        return volume_of(self._settings, self._sdk)


def charges(items: Iterable[Any], settings: ModalSettings) -> list[Charge]:
    """Those of a report that are of the settings' app; a report tells of a whole workspace."""
    return [
        Charge(item.interval_start, float(item.cost), {name: float(usd) for name, usd in item.cost_by_resource.items()})
        for item in items
        if item.description == settings.app and settings.environment in ("", item.environment_name)
    ]


def _found(settings: ModalSettings, sdk: Any) -> Any:  # noqa: ANN401 - Modal's
    return sdk.Cls.from_name(settings.app, CLASS, environment_name=settings.environment or None)
