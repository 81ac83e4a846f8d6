"""The parts of the page, each from a part of the snapshot. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

from streetvision.base.document import empty_chart
from streetvision.base.html import Html, el, join, prose
from streetvision.base.wording import duration, moment, share
from streetvision.monitor.retraining import run_words
from streetvision.monitor.traffic import SCORE_BINS, quantile
from streetvision.page.charts import (
    NOTHING_YET,
    Measure,
    edges_within,
    histogram,
    line_chart,
    number,
    requests_chart,
    sampled,
)
from streetvision.page.pictures import Picture
from streetvision.status.schema import Histogram, StandingPart, Status
from streetvision.status.wording import (
    NOTHING,
    ago,
    backend_words,
    candidate_words,
    decision_words,
    end_words,
    log_words,
    machine_words,
    milliseconds,
    model_age_words,
    model_words,
    next_run_words,
    not_judged_words,
    skipped_words,
    span_words,
    spending_words,
    subnet_words,
)

MEASURES = (
    Measure("Rank", "rank", lambda v: f"{v:,.0f}", best_is_low=True, from_zero=False, least=8, whole=True),
    Measure("Emission, alpha a day", "emission_per_day", least=0.1),
    Measure("Incentive", "incentive"),
    Measure("Burned share of the miners' reward", "burn_share", share, least=1.0),
)


def tiles(status: Status) -> Html:
    """The figures that are looked for first."""
    return el("dl", *(_tile(*tile) for tile in (*_standing_tiles(status), *_work_tiles(status))), class_="tiles")


def _tile(name: str, big: str, small: str) -> Html:
    return el(
        "div",
        el("dt", name),
        el("dd", big, class_="big"),
        el("dd", small, class_="small") if small else None,
        class_="card",
    )


def _standing_tiles(status: Status) -> list[tuple[str, str, str]]:
    standing = status["standing"]
    if standing is None or standing["uid"] is None:
        why = "not registered" if standing else "chain not read yet"
        return [
            (name, NOTHING, why) for name in ("Rank by incentive", "Emission a day", "Incentive", "Order of eviction")
        ]
    tao, rank = standing["tao_per_day"], standing["rank"]
    return [
        ("Rank by incentive", NOTHING if rank is None else f"{rank}", f"of {standing['miners']} miners"),
        ("Emission a day", f"{number(standing['emission_per_day'])} α", "" if tao is None else f"{number(tao)} TAO"),
        ("Incentive", number(standing["incentive"]), f"trust {standing['trust']:.2f}"),
        ("Order of eviction", str(standing["position"] or NOTHING), _place(standing)),
    ]


def _place(standing: StandingPart) -> str:
    if standing["position"] is None:
        return "cannot be evicted"
    immune = standing["immune_blocks"]
    return f"of {standing['queue']}" + (f", immune for {duration(12.0 * immune)}" if immune else "")


def _work_tiles(status: Status) -> list[tuple[str, str, str]]:
    traffic = status["traffic"]
    total, headroom = traffic["stages"].get("total"), traffic["headroom"]
    answered = f"{traffic['answered']:,} of {traffic['requests']:,} answered {_within(traffic['window'])}"
    last = ago(status["miner"]["last_request"], status["taken_at"])
    return [
        ("Requests a minute", f"{traffic['per_minute']:.3g}", answered),
        ("Last request", last, ""),
        ("Latency, p99", f"{milliseconds(total['p99'])} ms" if total else NOTHING,
         f"median {milliseconds(total['p50'])} ms" if total else ""),
        ("To spare before the deadline", NOTHING if headroom is None else f"{headroom['p1']:.2f} s",
         "in 99 of 100 answers" if headroom else ""),
    ]  # fmt: skip


def _within(seconds: float) -> str:
    return f"in the last {span_words(seconds)}"


def findings(status: Status) -> Html:
    """The diagnosis, the findings with their remedies, the gravest first, then the rules that know too little."""
    told = None if status["diagnosis"] is None else _diagnosis(status["diagnosis"], status["findings"])
    found = [_finding(finding) for finding in status["findings"]]
    nothing = [el("p", "No findings: nothing is wrong as far as can be seen.", class_="quiet")]
    unjudged = [el("p", f"Not judged: {words}", class_="quiet") for words in not_judged_words(status)]
    return join(told, *(found or nothing), *unjudged)


def _diagnosis(diagnosis: dict[str, Any], found: Sequence[dict[str, Any]]) -> Html:
    """Why it earns nothing, or that it earns; in one line where a finding below says the rest."""
    repeated = any(finding["title"] == diagnosis["title"] for finding in found)
    evidence = () if repeated else tuple(el("p", prose(text), class_="quiet") for text in diagnosis["evidence"])
    remedy = None if repeated else el("p", prose(str(diagnosis["remedy"])))
    head = el("h3", el("span", "Is it earning? ", class_="quiet"), sentence(str(diagnosis["title"])))
    return el("div", head, *evidence, remedy, class_="card about")


def _finding(finding: dict[str, Any]) -> Html:
    since = finding["since"]
    return el(
        "article",
        el("span", finding["severity"], class_="label"),
        el("h3", sentence(finding["title"])),
        *(el("p", prose(text), class_="quiet") for text in finding["evidence"]),
        el("p", el("b", "What to do: "), prose(finding["remedy"])),
        None if since is None else el("p", f"Since {moment(since)}", class_="quiet"),
        class_=f"card finding {_word(finding['severity'])}",
    )


def sentence(text: str) -> str:
    """With a capital letter."""
    return f"{text[:1].upper()}{text[1:]}"


def _word(text: object) -> str:
    """A class name, whatever it was."""
    return str(text) if text in ("critical", "warning", "info") else "info"


def standing_charts(status: Status) -> Html:
    """Rank, emission, incentive and the burn share over time."""
    series = status["series"]
    if series is None:
        return el("p", "The chain was not read yet.", class_="quiet")
    standing = status["standing"]
    registered = standing is not None and standing["uid"] is not None
    latest: dict[str, Any] = dict(standing or {}) if registered else {}
    return el("div", *(line_chart(series, m, latest.get(m.key)) for m in MEASURES), class_="charts")


def work_charts(status: Status) -> Html:
    """Requests over time, and how answers were spread over the counted days."""
    requests, counted = status["requests"], status["counted"]
    drawn = [
        empty_chart("Requests", NOTHING_YET) if requests is None else requests_chart(requests),
        _scores(counted["scores"], counted["positive"], counted["answered"]),
        _latency(counted["latency"]),
        _headroom(counted["headroom"]),
    ]
    return el("div", *drawn, class_="charts")


def _scores(scores: Sequence[int], positive: int, answered: int) -> Html:
    labels = [(place * SCORE_BINS / 4, f"{place / 4:g}") for place in range(5)]
    part = share(positive / answered) if answered else NOTHING
    words = f"P(roadwork) of {answered:,} answers; {part} above the threshold"
    return histogram(
        "Scores", scores, labels, words, lambda i: f"P(roadwork) {i / SCORE_BINS:.2f} to {(i + 1) / SCORE_BINS:.2f}"
    )


def _latency(found: Histogram) -> Html:
    edges = found["edges"]
    reached = quantile(found["counts"], edges, 0.99) if sum(found["counts"]) else 0.0
    limit = f"more than {_time(edges[-1])}" if isinf(reached) else f"at most {_time(reached)}"
    return _binned("Latency of answers", found, f"99 of 100 took {limit}")


def _headroom(found: Histogram) -> Html:
    late = found["counts"][0]
    return _binned("Time to spare before the deadline", found, f"{late:,} too late" if late else "none too late")


def _binned(title: str, found: Histogram, words: str) -> Html:
    edges, (first, last) = found["edges"], edges_within(found["counts"])
    counts = found["counts"][first : last + 1]
    labels = sampled([_time(edge) for edge in edges[first:last]])

    def each(place: int) -> str:
        low = f"above {_time(edges[first + place - 1])}" if first + place else ""
        high = f"up to {_time(edges[first + place])}" if first + place < len(edges) else ""
        return ", ".join(filter(None, (low, high)))

    return histogram(title, counts, labels, words, each)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:g} ms" if 0 < seconds < 1 else f"{seconds:g} s"


def model_and_log(status: Status) -> Html:
    """Facts about the model, the log and the machine."""
    facts = [
        ("Model", model_words(status)),
        *((("Backend", words),) if (words := backend_words(status)) else ()),
        ("On trial", candidate_words(status)),
        ("Last decision", decision_words(status)),
        ("Subnet", subnet_words(status["standing"])),
        ("Prediction log", log_words(status)),
        ("Machine", machine_words(status)),
    ]
    return _facts(facts)


def retraining(status: Status) -> Html:
    """The last run with its reason, the next one, and what the month cost; empty where it is not used."""
    retrain = status["retrain"]
    if retrain is None:
        return join()
    last = retrain["last"] or {}
    facts = [
        ("Last run", f"{last['id']} {run_words(last, status['taken_at'])}" if last else "none yet"),
        ("Why", end_words(status)),
        ("Last night", skipped_words(status)),
        ("Schedule", next_run_words(status)),
        ("Cost", spending_words(status)),
        ("Runs so far", _counted_runs(retrain["counts"])),
        ("Serving model", model_age_words(status)),
        ("Curves", str(last.get("curves", ""))),
        ("Trouble", retrain["problem"]),
    ]
    return _facts(facts)


def _counted_runs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items() if count)


def _facts(facts: Sequence[tuple[str, str]]) -> Html:
    told = (part for name, text in facts if text for part in (el("dt", name), el("dd", prose(text))))
    return el("div", el("dl", *told, class_="facts"), class_="card")


def pictures(shown: Sequence[Picture], trouble: str) -> Html:
    """The challenges that the model was least sure of."""
    if trouble:
        return el("p", f"They cannot be shown: {trouble}.", class_="quiet")
    if not shown:
        return el("p", "No images are kept yet.", class_="quiet")
    return el("ul", *(_picture(picture) for picture in shown), class_="pictures")


def _picture(picture: Picture) -> Html:
    asked = "" if picture.uid is None else f"UID {picture.uid}, "
    words = f"P(roadwork) {picture.probability:.3f}"
    image = el(
        "img",
        src=f"data:image/jpeg;base64,{picture.jpeg}",
        width=128,
        height=128,
        alt=f"A challenge answered with {words}",
    )
    size = f"{asked}{picture.width}×{picture.height}"
    return el("li", image, el("span", words), el("span", size), el("span", moment(picture.time).removesuffix(" UTC")))
