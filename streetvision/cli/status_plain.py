"""`streetvision status` where no terminal is: a word and its text in each line, for files and pipes."""

from __future__ import annotations

from collections.abc import Iterator

from streetvision.monitor.wording import duration, moment
from streetvision.status.shape import STAGES, Status, ValidatorRow
from streetvision.status.spark import sparkline
from streetvision.status.wording import (
    NOTHING,
    ago,
    candidate_words,
    chain_words,
    decision_words,
    emission_words,
    headroom_words,
    log_words,
    machine_words,
    milliseconds,
    model_words,
    place_words,
    rank_words,
    refusal_words,
    stake_words,
    subnet_words,
    traffic_words,
)

SPARK = 40
"""Columns of a sparkline."""


def plain_report(status: Status) -> str:
    """The whole text, however long its lines."""
    lines = list(_lines(status))
    width = max(len(word) for word, _ in lines)
    text = [f"{word:<{width}}  {text}".rstrip() for word, text in lines]
    return "\n".join([*text, *_validators(status)])


def _lines(status: Status) -> Iterator[tuple[str, str]]:
    miner, standing = status["miner"], status["standing"]
    yield "state", f"{miner['state']}{': ' if miner['why'] else ''}{miner['why']}"
    uid = None if standing is None else standing["uid"]
    yield "miner", f"UID {NOTHING if uid is None else uid}, netuid {miner['netuid']} on {miner['network']}"
    yield "hotkey", miner["hotkey"]
    yield "endpoint", miner["endpoint"] or NOTHING
    up = "" if miner["started"] is None else f", up {duration(status['taken_at'] - miner['started'])}"
    yield "version", f"{miner['version']}{up}, at {moment(status['taken_at'])}"
    yield "chain", chain_words(status)
    yield from _standing(status)
    yield "requests", traffic_words(status)
    yield "last", ago(miner["last_request"], status["taken_at"])
    yield "headroom", headroom_words(status)
    if refusal_words(status):
        yield "refused", refusal_words(status, most=8)
    yield from _stages(status)
    yield "batches", _counts(status["traffic"]["batches"])
    yield "views", _counts(status["traffic"]["views"])
    yield "model", model_words(status)
    for word, text in (("trial", candidate_words(status)), ("decided", decision_words(status))):
        if text:
            yield word, text
    yield "log", log_words(status)
    yield "machine", machine_words(status)
    yield from _findings(status)


def _standing(status: Status) -> Iterator[tuple[str, str]]:
    standing, series = status["standing"], status["series"]
    yield "rank", rank_words(standing)
    yield "emission", emission_words(standing)
    yield "incentive", NOTHING if standing is None else f"{standing['incentive']:.6f}"
    yield "eviction", place_words(standing)
    yield "subnet", subnet_words(standing)
    if series is not None:
        span = f"the last {duration(status['taken_at'] - series['since'])}"
        yield "", f"rank      {sparkline(series['rank']['mean'], SPARK, best_is_low=True)}  {span}"
        yield "", f"emission  {sparkline(series['emission_per_day']['mean'], SPARK)}  {span}"


def _stages(status: Status) -> Iterator[tuple[str, str]]:
    stages = status["traffic"]["stages"]
    yield "latency", "" if stages else NOTHING
    for name in STAGES:
        if name in stages:
            of = stages[name]
            yield "", f"{name:<10}p50 {milliseconds(of['p50'])} ms, p99 {milliseconds(of['p99'])} ms"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number}: {count:,}" for number, count in counts.items()) or NOTHING


def _findings(status: Status) -> Iterator[tuple[str, str]]:
    if status["diagnosis"] is not None:
        yield "earning", f"{status['diagnosis']['title']}. {status['diagnosis']['remedy']}"
    for finding in status["findings"]:
        yield finding["severity"], f"{finding['title']}. {' '.join(finding['evidence'])} {finding['remedy']}"
    if not status["findings"]:
        yield "findings", "none"


def _validators(status: Status) -> Iterator[str]:
    yield ""
    yield f"{'UID':>5}  {'hotkey':<48} {'stake':>7} {'requests':>9} {'answered':>9} {'errors':>7} " + (
        f"{'median ms':>9} {'score':>6}  last seen"
    )
    for row in status["validators"]:
        yield _validator(row, status["taken_at"])


def _validator(row: ValidatorRow, now: float) -> str:
    uid = NOTHING if row["uid"] is None else f"{row['uid']}"
    score = NOTHING if row["score"] is None else f"{row['score']:.2f}"
    counts = f"{row['requests']:>9,} {row['answered']:>9,} {row['errors']:>7,}"
    return (
        f"{uid:>5}  {row['hotkey']:<48} {stake_words(row['stake']):>7} {counts} {milliseconds(row['latency']):>9} "
        f"{score:>6}  {ago(row['last_seen'], now)}"
    )
