"""The page's tables: where an answer's time goes, a row for each validator, and what was refused. Pure."""

from __future__ import annotations

from streetvision.base.html import Html, el
from streetvision.base.wording import duration, share
from streetvision.status.schema import STAGES, RefusalRow, Status, ValidatorRow
from streetvision.status.wording import NOTHING, ago, milliseconds, span_words, stake_words


def stages(status: Status) -> Html:
    """Where an answer's time goes, and how answers shared passes and views."""
    traffic = status["traffic"]
    head = el("tr", el("th", "Milliseconds", scope="col", class_="left"), *(el("th", s, scope="col") for s in STAGES))
    found = traffic["stages"]
    low = (milliseconds(found[s]["p50"]) if s in found else NOTHING for s in STAGES)
    high = (milliseconds(found[s]["p99"]) if s in found else NOTHING for s in STAGES)
    rows = [
        el("tr", el("th", name, scope="row", class_="left"), *(el("td", cell) for cell in cells))
        for name, cells in (("median", low), ("99 of 100 within", high))
    ]
    caption = f"Answers in the last {span_words(traffic['window'])}. "
    caption += f"Requests in one forward pass: {_parts(traffic['batches'])}. Views: {_parts(traffic['views'])}."
    return _scrolling(el("table", el("caption", caption), el("thead", head), el("tbody", *rows)), "Latency by stage")


def _parts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{size} ({share(count / total)})" for size, count in counts.items()) or NOTHING


COLUMNS = ("UID", "Validator", "Stake, alpha", "Weights set", "Asked", "Answered", "Errors", "Median ms", "Mean score")
"""Before the last, which says when."""


def validators(status: Status) -> Html:
    """A row for each validator."""
    if not status["validators"]:
        return el("p", "No validator is known yet.", class_="quiet")
    head = el(
        "tr", *(el("th", c, scope="col", class_="left" if c == "Validator" else None) for c in (*COLUMNS, "Last seen"))
    )
    rows = [_validator(row, status["taken_at"]) for row in status["validators"]]
    span = span_words(status["counted"]["span"])
    caption = el("caption", f"Requests of the last {span}, as far as they are remembered one by one.")
    table = el("table", caption, el("thead", head), el("tbody", *rows), id="validators")
    return _scrolling(table, "Validators")


def _validator(row: ValidatorRow, now: float) -> Html:
    seen, age = row["last_seen"], row["weights_age"]
    weights = NOTHING if age is None else f"{duration(12.0 * age)} ago"
    return el(
        "tr",
        _number(row["uid"], NOTHING if row["uid"] is None else str(row["uid"])),
        el("th", el("span", row["hotkey"], class_="key"), scope="row", class_="left"),
        _number(row["stake"], stake_words(row["stake"])),
        _number(None if age is None else -age, weights),
        _number(row["requests"], f"{row['requests']:,}"),
        _number(row["answered"], f"{row['answered']:,}"),
        _number(row["errors"], f"{row['errors']:,}", "wrong" if row["errors"] else None),
        _number(row["latency"], milliseconds(row["latency"])),
        _number(row["score"], NOTHING if row["score"] is None else f"{row['score']:.2f}"),
        _number(seen, ago(seen, now)),
    )


def _number(value: float | None, words: str, kind: str | None = None) -> Html:
    """A cell that sorts by its value; what is not known comes last."""
    return el("td", words, data_value=f"{-1e18 if value is None else value:.6g}", class_=kind)


def _scrolling(table: Html, label: str) -> Html:
    """A table wider than a narrow window scrolls by itself, with the keyboard too."""
    return el("div", table, class_="card scroll", tabindex=0, role="region", aria_label=label)


def refusals(status: Status) -> Html:
    """A row for each reason for which requests were refused before their callers were proven."""
    found = status["refusals"]
    if not found:
        words = "Counted by a running miner alone." if found is None else "No request was refused since the start."
        return el("p", words, class_="quiet")
    names = ("Reason", "Last hour", "Since the start", "Last")
    head = el("tr", *(el("th", name, scope="col", class_="left" if name == "Reason" else None) for name in names))
    rows = [_refusal(row, status["taken_at"]) for row in found]
    caption = el("caption", "Before their callers were proven: mostly the internet's noise; findings tell what is not.")
    return _scrolling(el("table", caption, el("thead", head), el("tbody", *rows)), "Refused requests")


def _refusal(row: RefusalRow, now: float) -> Html:
    return el(
        "tr",
        el("th", f"{row['words']} ({row['reason']})", scope="row", class_="left"),
        el("td", f"{row['recent']:,}"),
        el("td", f"{row['total']:,}"),
        el("td", ago(row["last"], now)),
    )
