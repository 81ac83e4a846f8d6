"""Makes what was planned, one by one: asked for, checked, kept or dropped, each committed before the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streetvision.base.disk import sentences, write_atomically
from streetvision.base.spending import beyond
from streetvision.engine.types import BadImage
from streetvision.errors import reason
from streetvision.labelling.oracle import LabelOracle
from streetvision.sources.picture import check_picture
from streetvision.sources.works_tag import WORKS, works_in
from streetvision.synthesis.back_end import BackEnd, Declined, NotSent, Order
from streetvision.synthesis.checks import disagreement, near_copy
from streetvision.synthesis.pixels import read_pixels, write_pixels
from streetvision.synthesis.planning import Wish
from streetvision.synthesis.schema import DECLINED, DROPPED
from streetvision.synthesis.store import Kept, SynthesisStore

STOPPED = "you stopped it"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be spent."""

    price: float = 0.0
    """Of one order."""
    budget: float = 0.0
    """Of the calendar month."""
    daily: int = 1_000_000
    """Orders that leave this machine in a day."""


def over_budget(spent: float, price: float, budget: float) -> str:
    """Why the month's budget allows no more, as a sentence; empty where it does."""
    return beyond(spent, price, budget, "SYNTHETIC_BUDGET")


@dataclass(slots=True)
class MadeReport:
    """What became of the wishes."""

    kept: Counter[str] = field(default_factory=Counter)
    """By kind."""
    left_out: Counter[str] = field(default_factory=Counter)
    """By kind and reason."""
    spent: float = 0.0
    ended: str = ""
    """Why it ended before all were tried, as a clause."""


@dataclass(frozen=True)
class Maker:
    """One back end with what checks its work."""

    store: SynthesisStore
    name: str
    """Of the set."""
    back_end: BackEnd
    oracle: LabelOracle
    """Asked about what the back end is not sure of."""
    bounds: Bounds = Bounds()
    trust: float = 0.5
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def make(
        self,
        wishes: Sequence[Wish],
        *,
        progress: Callable[[int], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> MadeReport:
        """Go through them; what is killed meanwhile goes on with the next plan. Raises OperatorError.

        `made.jsonl` is brought up to date whatever ends it.
        """
        report = MadeReport()
        try:
            for wish in wishes:
                report.ended = STOPPED if stop() else self._bound()
                if report.ended:
                    break
                self._one(wish, report)
                progress(1)
        finally:
            self.store.write_records(self.name)
        return report

    def _bound(self) -> str:
        """Which bound is reached; empty while none is."""
        now, bounds = self.now().isoformat(), self.bounds
        if bounds.price and (why := over_budget(self.store.spent(now[:7]), bounds.price, bounds.budget)):
            return why
        if self.back_end.remote and self.store.sent(now[:10]) >= bounds.daily:
            return f"{bounds.daily:,} pictures were sent today: go on tomorrow, or raise SYNTHETIC_DAILY"
        return ""

    def _one(self, wish: Wish, report: MadeReport) -> None:
        try:
            data = wish.parent.path.read_bytes()
            parent, pixels = check_picture(data).fingerprint, read_pixels(data)
        except (OSError, BadImage) as error:
            report.left_out[f"{wish.kind.name}: its parent cannot be read ({reason(error)})"] += 1
            return
        attempt = self.store.begin(
            self.name,
            wish,
            self.back_end.name,
            remote=self.back_end.remote,
            price=self.bounds.price,
            begun=self.now().isoformat(timespec="seconds"),
        )
        order = Order(wish.kind, write_pixels(pixels), wish.seed, works_in(wish.parent.tags.get(WORKS, "")))
        try:
            made = self.back_end.make(order)
        except Declined as error:
            self._left_out(attempt, wish, DECLINED, str(error), report, free=error.free)
            return
        except NotSent:
            self.store.forget(attempt)
            raise
        report.spent += self.bounds.price
        why = self._kept(attempt, wish, made, parent)
        if why:
            self._left_out(attempt, wish, DROPPED, why, report)
        else:
            report.kept[wish.kind.name] += 1

    def _kept(self, attempt: int, wish: Wish, made: bytes, parent: int) -> str:
        """Keep it; or why not, as a clause."""
        try:
            data = write_pixels(read_pixels(made)) if self.back_end.remote else made
            number = check_picture(data).fingerprint
        except BadImage as error:
            return f"it is no picture ({error})"
        if why := near_copy(wish, number, parent, self.store.known(self.name)):
            return why
        folder = self.store.set_folder(self.name)
        path = folder / f"{wish.parent.sha256[:20]}-{wish.kind.name}-{wish.seed:08x}.jpg"
        with sentences("Keeping a variation"):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        with ExitStack() as undone:
            undone.callback(path.unlink)
            label = wish.kind.label_of(wish.parent.label)
            if not self.back_end.sure(wish.kind) and (why := disagreement(label, path, self.oracle)):
                return why
            self.store.keep(attempt, wish, Kept(path.name, number, self.trust))
            undone.pop_all()
        return ""

    def _left_out(
        self, attempt: int, wish: Wish, outcome: str, why: str, report: MadeReport, *, free: bool = False
    ) -> None:
        self.store.settle(attempt, outcome, why, free=free)
        report.left_out[f"{wish.kind.name}: {why}"] += 1
        if outcome == DECLINED and not free:
            report.spent += self.bounds.price
