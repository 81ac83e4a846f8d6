"""The monthly bill of each way to run n miners. Pure: traffic, speeds and prices in, dollars out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from streetvision.cost.containers import Containers, containers
from streetvision.cost.prices import HOURS, Machine, Prices
from streetvision.cost.speeds import CPU, Host, Speed, Speeds
from streetvision.cost.traffic import HOUR_S, Traffic

BUSY = 0.7
"""Share of what a device can do that is planned with: the rest keeps queues short."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for."""

    hotkeys: int
    card: str
    model: str
    warm: int
    """Modal containers that are kept warm in one of the rows."""


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a bill."""

    what: str
    count: float
    month: float
    """US dollars, of all of them."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One way, at one traffic."""

    way: str
    title: str
    lines: tuple[Line, ...]
    limit: str = ""
    """Why it cannot carry that traffic; then there is no bill."""
    cold: float | None = None
    """Share of requests that come while no container is warm, which the embedded model answers."""
    starts: float | None = None
    """Cold starts of containers in an hour."""

    @property
    def month(self) -> float | None:
        """US dollars; None where it cannot carry the traffic."""
        return None if self.limit else sum(line.month for line in self.lines)


@dataclass(frozen=True, slots=True)
class Place:
    """What the ways are made of."""

    question: Question
    traffic: Traffic
    """Of one miner."""
    host: Host
    prices: Prices
    front: Machine
    """Where miners run without a card of their own."""
    rented: Machine
    """With the card."""
    on_front: Speed
    on_card: Speed
    process_gib: float


def place(question: Question, traffic: Traffic, speeds: Speeds, prices: Prices) -> Place:
    """Raises OperatorError for a card, a model or a price that is not known."""
    on_card = speeds.of(question.card, question.model)
    cpu = speeds.device[CPU]
    process_gib = speeds.host.process_gib[question.model]
    front, rented = prices.cheapest(CPU, process_gib), prices.cheapest(question.card)
    return Place(
        question,
        traffic,
        speeds.host,
        prices,
        front,
        rented,
        _on_more(speeds.of(CPU, question.model), front.vcpus / cpu.vcpus),
        on_card,
        process_gib,
    )


def bills(at: Place) -> list[Bill]:
    """All ways, the simplest first."""
    return [
        _apart("cpu", "a CPU machine for each miner", at, at.front, at.on_front),
        _together("cpu_together", "all miners on CPU machines", at, at.front, at.on_front, own_model=True),
        _apart("card", "a card for each miner", at, at.rented, at.on_card),
        _together("card_shared", "all miners on one machine with a card", at, at.rented, at.on_card, own_model=False),
        _modal("modal", "Modal, scaled to zero when idle", at, warm=0),
        _modal("modal_warm", f"Modal, {at.question.warm} kept warm", at, warm=at.question.warm),
        _kubernetes(at),
    ]


def _on_more(speed: Speed, times: float) -> Speed:
    """More cores answer more at once; one picture is taken to be no faster for it."""
    return Speed(speed.one_s, speed.per_s * times, speed.measured and times == 1, speed.source)


def _host_per_s(machine: Machine, host: Host) -> float:
    """Requests a second of as many processes as the machine has cores for."""
    return host.process_per_s * max(1.0, machine.vcpus / host.process_vcpus)


def _apart(way: str, title: str, at: Place, machine: Machine, speed: Speed) -> Bill:
    can = BUSY * min(speed.per_s, at.host.process_per_s)
    if at.traffic.peak > can:
        return Bill(way, title, (), _too_much(can))
    count = at.question.hotkeys
    return Bill(way, title, (Line(machine.title, count, count * machine.month),))


def _together(way: str, title: str, at: Place, machine: Machine, speed: Speed, *, own_model: bool) -> Bill:
    """As many miners on a machine as it carries; a miner cannot be divided, as it has one address."""
    can = BUSY * min(speed.per_s, _host_per_s(machine, at.host))
    fits = _fitting(at, machine, can, own_model=own_model)
    if fits < 1:
        return Bill(way, title, (), _too_much(min(can, BUSY * at.host.process_per_s)))
    count = math.ceil(at.question.hotkeys / fits)
    return Bill(way, title, (Line(machine.title, count, count * machine.month),))


def _fitting(at: Place, machine: Machine, can: float, *, own_model: bool) -> int:
    """Miners on one machine; 0 where not even one has its requests answered."""
    if at.traffic.peak > min(can, BUSY * at.host.process_per_s):
        return 0
    by_requests = can / at.traffic.peak if at.traffic.peak else math.inf
    each = at.process_gib if own_model else at.host.axon_gib
    return max(1, math.floor(min(by_requests, machine.memory_gib / each)))


def _fronts(at: Place) -> Line | None:
    """Machines with a fixed address for miners whose model is elsewhere; each keeps its embedded model as well."""
    fits = _fitting(at, at.front, BUSY * _host_per_s(at.front, at.host), own_model=True)
    if fits < 1:
        return None
    count = math.ceil(at.question.hotkeys / fits)
    return Line(f"{at.front.title}, for the miners", count, count * at.front.month)


def _modal(way: str, title: str, at: Place, *, warm: int) -> Bill:
    fronts, terms = _fronts(at), at.prices.modal
    if fronts is None:
        return Bill(way, title, (), _too_much(BUSY * at.host.process_per_s))
    total, can = at.traffic.times(at.question.hotkeys), BUSY * min(at.on_card.per_s, at.host.link_per_s)
    found = containers(total, can, warm=warm, idle_s=terms.idle_s, start_s=terms.start_s)
    return Bill(way, title, (fronts, *_container_lines(at, found)), cold=found.cold, starts=found.starts)


def _container_lines(at: Place, found: Containers) -> Iterator[Line]:
    month = found.mean * HOURS * HOUR_S * at.prices.container_second(at.question.card)
    yield Line(f"Modal containers with {at.question.card}, on average", found.mean, month)
    credit = min(month, at.prices.modal.credit_month)
    if credit:
        yield Line("Modal's monthly credit", 1, -credit)


def _kubernetes(at: Place) -> Bill:
    way, title = "kubernetes", "Kubernetes of your own"
    fronts = _fronts(at)
    if fronts is None:
        return Bill(way, title, (), _too_much(BUSY * at.host.process_per_s))
    can = BUSY * min(at.on_card.per_s, at.host.link_per_s)
    nodes = max(1, math.ceil(at.traffic.peak * at.question.hotkeys / can))
    plane = min(at.prices.control_plane.values(), key=lambda plane: plane.hour)
    return Bill(
        way,
        title,
        (
            Line(plane.title, 1, plane.hour * HOURS),
            fronts,
            Line(f"{at.rented.title}, as a node", nodes, nodes * at.rented.month),
        ),
    )


def _too_much(can: float) -> str:
    return f"at most {can:,.3g} requests a second of one miner"
