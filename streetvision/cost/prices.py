"""Dated prices: those that come with the package, with an operator's own over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from streetvision.base.toml import parse_toml, read_toml
from streetvision.cost.tables import Table, check_names, merged, row, section
from streetvision.errors import OperatorError

Kind = TypeVar("Kind")

HOURS = 730.0
"""Of a month, as clouds count."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that is rented by the hour."""

    title: str
    device: str
    """Name in the table of speeds: a card, of which it has one, or `cpu`."""
    vcpus: float
    memory_gib: float
    hour: float
    seen: date
    source: str

    @property
    def month(self) -> float:
        """US dollars."""
        return self.hour * HOURS


@dataclass(frozen=True, slots=True)
class SecondPrice:
    """A card, a core or a GiB by the second."""

    second: float
    seen: date
    source: str


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A managed Kubernetes control plane."""

    title: str
    hour: float
    seen: date
    source: str


@dataclass(frozen=True, slots=True)
class ModalTerms:
    """How a container is asked for, and how it behaves."""

    cores: float
    memory_gib: float
    idle_s: float
    """It stays warm so long after its last request."""
    start_s: float
    """From nothing to its first answer; billed."""
    credit_month: float
    """US dollars that the plan gives back."""
    seen: date
    source: str


@dataclass(frozen=True, slots=True)
class Prices:
    """All of them, by the names of their sections."""

    machine: Mapping[str, Machine]
    modal_second: Mapping[str, SecondPrice]
    control_plane: Mapping[str, ControlPlane]
    modal: ModalTerms

    def cheapest(self, device: str, least_gib: float = 0.0) -> Machine:
        """The machine with that card, or with `cpu`, and so much memory; raises OperatorError."""
        having = [machine for machine in self.machine.values() if machine.device == device]
        found = [machine for machine in having if machine.memory_gib >= least_gib]
        if not found:
            memory = f" and {least_gib:g} GiB" if having else ""
            raise OperatorError(
                f"no machine with {device}{memory} has a price: add a section [machine.NAME] to a file for --prices"
            )
        return min(found, key=lambda machine: machine.hour)

    def container_second(self, card: str, cores: float | None = None, memory_gib: float | None = None) -> float:
        """US dollars of a second of a Modal container with that card, by default as the terms ask for one.

        Raises OperatorError for a card without a price.
        """
        if card not in self.modal_second:
            raise OperatorError(
                f"Modal's price of {card} is not known: add a section [modal_second.{card}] to a file for --prices"
            )
        core, gib = self.modal_second["core"].second, self.modal_second["gib"].second
        cores = self.modal.cores if cores is None else cores
        memory_gib = self.modal.memory_gib if memory_gib is None else memory_gib
        return self.modal_second[card].second + cores * core + memory_gib * gib

    def oldest(self) -> date:
        """The day of the oldest of them."""
        tables = (self.machine, self.modal_second, self.control_plane)
        return min(self.modal.seen, *(price.seen for table in tables for price in table.values()))


def prices_text() -> str:
    """The file that comes with the package."""
    return files("streetvision.assets").joinpath("cost", "prices.toml").read_text(encoding="utf-8")


def read_prices(over: Path | None = None, *, devices: Mapping[str, object] | None = None) -> Prices:
    """The package's prices with those of a file over them; `devices` are the known ones. Raises OperatorError."""
    tables = parse_toml(prices_text(), "the prices of the package")
    if over is None:
        return _prices(tables, devices)
    own = read_toml(over, "a table of prices")
    try:
        return _prices(merged(tables, own), devices)
    except OperatorError as error:
        raise OperatorError(f"{over}: {error}") from error


def _prices(tables: Table, devices: Mapping[str, object] | None) -> Prices:
    check_names(tables, [field.name for field in fields(Prices)], "the section ")
    prices = Prices(
        machine=_rows(Machine, tables, "machine"),
        modal_second=_rows(SecondPrice, tables, "modal_second"),
        control_plane=_rows(ControlPlane, tables, "control_plane"),
        modal=row(ModalTerms, tables["modal"], "modal"),
    )
    for name, machine in prices.machine.items() if devices is not None else ():
        check_names([machine.device], devices or {}, f"machine.{name}.device: ")
    return prices


def _rows(kind: type[Kind], tables: Table, name: str) -> dict[str, Kind]:
    named = section(tables[name], name)
    return {key: row(kind, table, f"{name}.{key}") for key, table in named.items()}
