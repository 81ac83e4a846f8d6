"""`streetvision status`: one screen that fits its width, and its height where it is watched. Plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streetvision.base.wording import duration, short
from streetvision.status.schema import STAGES, Status, ValidatorRow
from streetvision.status.wording import (
    NOTHING,
    ago,
    backend_words,
    candidate_words,
    chain_words,
    decision_words,
    emission_words,
    end_words,
    headroom_words,
    log_words,
    machine_words,
    milliseconds,
    model_age_words,
    model_words,
    not_judged_words,
    place_words,
    rank_words,
    refusal_words,
    retrain_words,
    skipped_words,
    spending_words,
    stake_words,
    subnet_words,
    traffic_words,
)

LEVELS = "▁▂▃▄▅▆▇█"
GAP = "·"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def sparkline(values: Sequence[float | None], width: int, *, best_is_low: bool = False) -> str:
    """The newest `width` values between their extremes, a dot where there is none; up is better."""
    shown = list(values)[-width:] if width > 0 else []
    known = [value for value in shown if value is not None]
    if not known:
        return GAP * len(shown)
    low, high = min(known), max(known)
    return "".join(GAP if value is None else _level(value, low, high, best_is_low) for value in shown)


def _level(value: float, low: float, high: float, best_is_low: bool) -> str:
    if high == low:
        return LEVELS[len(LEVELS) // 2]
    place = (value - low) / (high - low)
    return LEVELS[round((1 - place if best_is_low else place) * (len(LEVELS) - 1))]


def bar(share: float, width: int) -> str:
    """A bar in eighths of a column; what is there at all shows."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8) or (1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()


WIDE = 110
"""Columns from which hotkeys are shown in full, and a watched screen tells more."""
LEAST_ROWS = 3
"""Validators shown however low the window is."""
_WORD = 10
"""Columns of the words in front."""
_COLOURS = {"serving": "green", "degraded": "yellow", "starting": "cyan", "draining": "cyan"}
_SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def spark_width(width: int) -> int:
    """Columns left for a sparkline beside its words."""
    return max(10, min(width - 54, 100))


def view(status: Status, width: int, height: int | None = None) -> RenderableType:
    """The screen; with a height, long texts are cut and as many validators are shown as there is room for.

    Without one nothing is left out, and what is too long for a line goes on below its own beginning.
    """
    everything = height is None
    for remedies, spacers in ((True, True), (False, True), (False, False)):
        head = [*_head(status, width), *_standing(status, width), *_work(status, width, everything)]
        tail = list(_findings(status, most=64 if everything else 3, remedies=remedies, evidence=everything))
        models, space = list(_models(status, width, everything)), [Text()] if spacers else []
        room = 64 if height is None else height - len(head) - len(models) - len(tail) - 3 * len(space) - 5
        if room >= LEAST_ROWS:
            break
    parts: list[RenderableType] = [*head, *space, _stages(status), *models, *space]
    parts += [_validators(status, width, max(LEAST_ROWS, room)), *space, *tail]
    return Group(*(_hanging(part) if everything else _cut(part) for part in parts))


class Line(Text):
    """A word in front, and its text."""


def _cut(part: RenderableType) -> RenderableType:
    """One line at most."""
    if isinstance(part, Text):
        part.no_wrap, part.overflow = True, "ellipsis"
    return part


def _hanging(part: RenderableType) -> RenderableType:
    """As many lines as it takes, the words in front alone in their column."""
    if not isinstance(part, Line):
        return part
    table = Table.grid()
    table.add_column(width=_WORD, no_wrap=True)
    table.add_column()
    table.add_row(*part.divide([_WORD]))
    return table


def _line(word: str, *parts: str | tuple[str, str], style: str = "dim") -> Line:
    line = Line()
    for part in ((f"{word:<{_WORD}}", style), *parts):
        text, of = (part, "") if isinstance(part, str) else part
        line.append(text, of)
    return line


def _head(status: Status, width: int) -> Iterator[Text]:
    miner, standing = status["miner"], status["standing"]
    uid = NOTHING if standing is None or standing["uid"] is None else str(standing["uid"])
    colour = _COLOURS.get(miner["state"], "red")
    yield Text.assemble(
        ("streetvision ", "bold"),
        f"{miner['version']}  ",
        (f"● {miner['state']}", f"bold {colour}"),
        f"  UID {uid}  netuid {miner['netuid']} ({miner['network']})",
    )
    hotkey = miner["hotkey"] if width >= WIDE else short(miner["hotkey"])
    up = "" if miner["started"] is None else f"  up {duration(status['taken_at'] - miner['started'])}"
    yield Text(f"{hotkey}  {miner['endpoint'] or 'no endpoint'}  {chain_words(status)}{up}", style="dim")
    if miner["why"]:
        yield Text(miner["why"], style=colour)
    yield Text()


def _standing(status: Status, width: int) -> Iterator[Text]:
    standing, series = status["standing"], status["series"]
    for word, text, track, low in (
        ("rank", rank_words(standing), "rank", True),
        ("emission", emission_words(standing), "emission_per_day", False),
    ):
        line = _line(word, (f"{text:<32}", "bold"))
        if series is not None:
            values = series[track]["mean"]  # type: ignore[literal-required]  # one of two tracks
            span = duration(status["taken_at"] - series["since"])
            line.append(sparkline(values, spark_width(width), best_is_low=low), "cyan").append(f" {span}", "dim")
        yield line
    yield _line("place", place_words(standing))
    yield _line("subnet", subnet_words(standing))


def _work(status: Status, width: int, everything: bool) -> Iterator[Text]:
    last = ago(status["miner"]["last_request"], status["taken_at"])
    yield _line("requests", traffic_words(status), (f", last {last}" if width >= WIDE or everything else "", ""))
    yield _line("deadline", headroom_words(status))
    if refusal_words(status):
        yield _line("refused", refusal_words(status))


def _stages(status: Status) -> Table:
    """Milliseconds by stage."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    table.add_column("ms", width=_WORD - 1, style="dim")
    for stage in STAGES:
        table.add_column(stage, justify="right", no_wrap=True)
    for name in ("p50", "p99"):
        found = status["traffic"]["stages"]
        table.add_row(name, *(milliseconds(found[s][name]) if s in found else NOTHING for s in STAGES))
    return table


def _models(status: Status, width: int, everything: bool) -> Iterator[Text]:
    traffic, roomy = status["traffic"], width >= WIDE or everything
    yield _line("batch of", *_bars(traffic["batches"], width), "   views ", *_bars(traffic["views"], width))
    yield _line("model", model_words(status))
    if backend_words(status):
        yield _line("backend", backend_words(status))
    trial = candidate_words(status)
    if trial:
        yield _line("trial", (trial, "magenta"))
    if decision_words(status) and (everything or (roomy and not trial)):
        yield _line("decided", decision_words(status))
    if roomy or not trial:
        yield from _retraining(status, everything)
    log = status["log"]
    if roomy or (log is not None and log["degraded"] is not None):
        yield _line("log", log_words(status))
    if everything:
        yield _line("machine", machine_words(status))


def _retraining(status: Status, everything: bool) -> Iterator[Text]:
    """The last run and the next; with room, why it ended so and what the month cost."""
    if status.get("retrain") is None:
        return
    yield _line("retrain", retrain_words(status))
    age = model_age_words(status)
    for more in (end_words(status), skipped_words(status), spending_words(status), age and f"the model is {age}"):
        if more and everything:
            yield _line("", (more, "dim"))


def _bars(counts: dict[str, int], width: int) -> list[str | tuple[str, str]]:
    """The commonest few numbers, each with a bar: `1 ████ 189`."""
    if not counts:
        return [NOTHING]
    total, most = sum(counts.values()), 5 if width >= WIDE else 3
    shown = sorted(sorted(counts, key=lambda number: -counts[number])[:most], key=int)
    parts: list[str | tuple[str, str]] = []
    for number in shown:
        parts += [f"{number} ", (bar(counts[number] / total, 5), "cyan"), f" {100 * counts[number] / total:.0f}%  "]
    return parts


def _validators(status: Status, width: int, most: int) -> Table:
    rows = status["validators"]
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    for name, right in (("UID", True), ("validator", False), ("stake", True), ("asked", True), ("ok", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for name in ("errors", "ms", "score", "last seen"):
        table.add_column(name, justify="right", no_wrap=True)
    cut = len(rows) > most
    for row in rows[: most - 1 if cut else most]:
        table.add_row(*_cells(row, status["taken_at"], width))
    if cut:
        table.add_row("", Text(f"and {len(rows) - most + 1} more", style="dim"))
    if not rows:
        table.add_row("", Text("nobody has asked yet", style="dim"))
    return table


def _cells(row: ValidatorRow, now: float, width: int) -> list[str | Text]:
    return [
        NOTHING if row["uid"] is None else str(row["uid"]),
        Text(row["hotkey"] if width >= WIDE else short(row["hotkey"])),
        stake_words(row["stake"]),
        f"{row['requests']:,}",
        f"{row['answered']:,}",
        Text(f"{row['errors']:,}", style="red" if row["errors"] else ""),
        milliseconds(row["latency"]),
        NOTHING if row["score"] is None else f"{row['score']:.2f}",
        ago(row["last_seen"], now),
    ]


def _findings(status: Status, most: int, *, remedies: bool, evidence: bool) -> Iterator[Text]:
    findings: list[dict[str, Any]] = status["findings"]
    for finding in findings[:most]:
        style = _SEVERITIES.get(finding["severity"], "")
        yield _line(finding["severity"], (finding["title"], "bold"), style=style)
        if evidence:
            yield _line("", " ".join(finding["evidence"]))
        if remedies:
            yield _line("", (finding["remedy"], "dim"))
    if len(findings) > most or (findings and not remedies):
        yield _line("", (f"{len(findings)} in all: `streetvision doctor` says what to do", "dim"))
    diagnosis = status["diagnosis"]
    if diagnosis is not None and all(finding["title"] != diagnosis["title"] for finding in findings):
        yield _line("earning", diagnosis["title"])
        if evidence and diagnosis["remedy"]:
            yield _line("", (diagnosis["remedy"], "dim"))
    if not findings:
        yield _line("findings", "none")
    for words in not_judged_words(status) if evidence else ():
        yield _line("unjudged", (words, "dim"))
