"""The FiftyOne App on a saved view, on this machine only unless the operator says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from streetvision.errors import ConfigError, OperatorError, reason
from streetvision.mining.database import Dataset, DatasetView, FiftyOne

PORT = 5151
ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class AppOptions:
    """Where the App listens and what it shows."""

    view: str | None = None
    """A saved view; None: the whole dataset."""
    address: str = ADDRESS
    port: int = PORT
    """0 takes any free one."""
    remote: bool = False
    """Do not open a browser on this machine."""


@dataclass(frozen=True, slots=True)
class OpenApp:
    """A running App."""

    url: str
    pictures: int
    """In the view."""
    warning: str
    """What the operator should know about its address; empty when there is nothing."""


@contextmanager
def open_app(fo: FiftyOne, dataset: Dataset, options: AppOptions) -> Iterator[OpenApp]:
    """Serve the App while the context lasts; raises OperatorError when the view or the port cannot be had."""
    address = check_address(options.address)
    view = _view(dataset, options.view)
    port = _free_port(address, options.port)
    session = fo.launch_app(dataset, view=view, address=address, port=port, remote=options.remote, auto=False)
    try:
        count = len(dataset if view is None else view)
        yield OpenApp(_url(address, port, dataset.name, options.view), count, exposure(address))
    finally:
        session.close()


def check_address(address: str) -> str:
    """The address in its usual form; ConfigError for what is none."""
    try:
        return str(ipaddress.ip_address("127.0.0.1" if address == "localhost" else address.strip("[]")))
    except ValueError:
        raise ConfigError(f"{address!r} is no address to listen on: give one such as 127.0.0.1 or ::1") from None


def exposure(address: str) -> str:
    """A warning when others can reach this address: the App asks nobody who they are."""
    if ipaddress.ip_address(address).is_loopback:
        return ""
    return (
        f"whoever reaches {address} can see the pictures, change labels and read files as you: the App has no "
        "password; prefer 127.0.0.1 and `ssh -L`"
    )


def _view(dataset: Dataset, name: str | None) -> DatasetView | None:
    if name is None:
        return None
    if not dataset.has_saved_view(name):
        known = ", ".join(dataset.list_saved_views()) or "none yet"
        raise OperatorError(
            f"there is no view {name!r} (there is: {known}): make one with `streetvision mine hard` or "
            "`mine quality`, or see everything with --all"
        )
    return dataset.load_saved_view(name)


def _free_port(address: str, port: int) -> int:
    """The port, if nothing listens there: FiftyOne would take any server that answers for its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise OperatorError(
            f"cannot listen on {address} port {port} ({reason(error)}): name another --port, or end what uses it"
        ) from None


def _url(address: str, port: int, dataset: str, view: str | None) -> str:
    host = f"[{address}]" if ":" in address else address
    query = f"?view={quote(view)}" if view else ""
    return f"http://{host}:{port}/datasets/{quote(dataset)}{query}"
