"""Modal's module as far as service.py uses it: a volume, an app and a bill in memory, and errors when told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class NotFoundError(Exception):
    """As modal.exception has it."""

    __module__ = "modal.exception"


class AuthError(Exception):
    """As modal.exception has it."""

    __module__ = "modal.exception"


def both(blocking: Any) -> Any:
    """A call with its `aio` twin, as Modal makes them."""

    async def aio(*arguments: Any, **named: Any) -> Any:
        return blocking(*arguments, **named)

    def call(*arguments: Any, **named: Any) -> Any:
        return blocking(*arguments, **named)

    call.aio = aio  # type: ignore[attr-defined]
    return call


@dataclass
class FakeSdk:
    """Put it in the place of `modal`."""

    files: dict[str, bytes] = field(default_factory=dict)
    deployed: bool = True
    items: list[Any] = field(default_factory=list)
    refusing: bool = False
    asked: list[tuple[str, Any]] = field(default_factory=list)
    answer: Any = None
    exception: Any = field(default_factory=lambda: SimpleNamespace(NotFoundError=NotFoundError, AuthError=AuthError))

    @property
    def Cls(self) -> Any:  # noqa: N802 - Modal's name
        return SimpleNamespace(from_name=self._cls)

    @property
    def Volume(self) -> Any:  # noqa: N802 - Modal's name
        return SimpleNamespace(from_name=self._volume)

    @property
    def Workspace(self) -> Any:  # noqa: N802 - Modal's name
        billing = SimpleNamespace(report=both(self._report))
        return SimpleNamespace(from_context=lambda: SimpleNamespace(billing=billing))

    def charge(self, hour: datetime, usd: str, app: str = "streetvision", environment: str = "main") -> None:
        """An hour of the bill."""
        self.items.append(
            SimpleNamespace(
                description=app,
                environment_name=environment,
                interval_start=hour,
                cost=Decimal(usd),
                cost_by_resource={"gpu_l4": Decimal(usd)},
            )
        )

    def _cls(self, app: str, name: str, *, environment_name: str | None) -> Any:
        self.asked.append(("cls", (app, name, environment_name)))
        method = SimpleNamespace(remote=both(self._remote), get_current_stats=self._stats)
        instance = SimpleNamespace(answer=method, update_autoscaler=both(self._autoscale))
        found = lambda: instance  # noqa: E731 - it also has a method
        found.get_dashboard_url = lambda: "https://modal.test/app"  # type: ignore[attr-defined]
        return found

    def _remote(self, *parts: Any) -> Any:
        self._check()
        self.asked.append(("remote", parts))
        return self.answer

    def _stats(self) -> Any:
        self._check()
        return SimpleNamespace(num_total_runners=2, backlog=3)

    def _autoscale(self, **settings: Any) -> None:
        self.asked.append(("autoscale", settings))

    def _report(self, **bounds: Any) -> list[Any]:
        self._check(deployed=False)
        self.asked.append(("report", bounds))
        return self.items

    def _volume(self, name: str, *, environment_name: str | None, create_if_missing: bool) -> Any:
        self.asked.append(("volume", (name, environment_name, create_if_missing)))
        return SimpleNamespace(listdir=self._listdir, batch_upload=self._batch, remove_file=self._remove)

    def _listdir(self, path: str, *, recursive: bool) -> list[Any]:
        self._check(deployed=False)
        return [SimpleNamespace(path=name.strip("/")) for name in self.files]

    @contextmanager
    def _batch(self, force: bool = False) -> Iterator[Any]:
        """Nothing is there before the batch ends."""
        self._check(deployed=False)
        put = dict[str, bytes]()
        yield SimpleNamespace(put_file=lambda local, remote: put.update({remote: Path(local).read_bytes()}))
        self.files |= put

    def _remove(self, path: str, recursive: bool = False) -> None:
        self.files = {name: data for name, data in self.files.items() if not name.startswith(f"{path}/")}

    def _check(self, *, deployed: bool = True) -> None:
        if self.refusing:
            raise AuthError("Token missing")
        if deployed and not self.deployed:
            raise NotFoundError("App not found")
