"""One snapshot of everything: from a running miner, a fresh one, a broken one; and its series."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import BackendView
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import TrafficBucket
from streetvision.prediction_log.reader import LogReader
from streetvision.status.samples import MOST, Sample, Samples, sample_of_row
from streetvision.status.schema import STAGES, Span, Status
from streetvision.status.series import request_series, standing_series
from streetvision.status.snapshot import Facts, state_of
from streetvision.status.summary import traffic_part
from streetvision.status.wording import backend_words, model_words, traffic_words

from ..conftest import Logbook
from .worlds import DAYS, FACTS, MODELS, fresh, hostile, observed, samples, status


def test_a_snapshot_is_json_and_has_every_part() -> None:
    found = status()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == set(Status.__annotations__)
    for part, value in (("miner", found["miner"]), ("traffic", found["traffic"]), ("standing", found["standing"])):
        assert value, part
    json.dumps([fresh(), hostile()], allow_nan=False)


def test_the_model_is_told_of_with_what_computes_it() -> None:
    assert "1.4.0 (street-b)" in model_words(status())
    assert ", by openvino in bf16; 1.3.0 is kept loaded" in model_words(status())
    assert ", by" not in model_words(hostile()), "an older miner does not say"


def test_figures_agree_with_what_was_observed() -> None:
    seen, found = observed(), status()
    latest, standing = seen.latest, found["standing"]
    assert latest is not None
    assert standing is not None
    assert (standing["uid"], standing["rank"], standing["incentive"]) == (latest.uid, latest.rank, latest.incentive)
    assert found["chain"]["block"] == latest.block
    assert found["counted"]["requests"] == seen.traffic.total(seen.now - DAY, seen.now + 1).requests
    assert sum(found["counted"]["scores"]) == found["counted"]["answered"]
    hour = [s for s in samples() if s.time >= seen.now - HOUR]
    traffic = found["traffic"]
    assert traffic["requests"] == len(hour) == traffic["answered"] + sum(traffic["failed"].values())
    assert set(traffic["failed"]) <= {"overloaded"}
    assert traffic["per_minute"] == pytest.approx(len(hour) / 60)
    assert set(traffic["stages"]) == set(STAGES)
    total = traffic["stages"]["total"]
    assert 0.1 < total["p50"] < total["p99"] < 0.3
    assert traffic["headroom"] is not None
    assert traffic["headroom"]["p1"] < traffic["headroom"]["p50"] < 8.5
    assert traffic["batches"] == traffic["views"] == {"1": traffic["answered"]}


def test_a_row_for_each_validator_the_largest_stake_first() -> None:
    rows = status()["validators"]
    day = [s for s in samples() if s.time >= observed().now - DAY]
    assert [row["hotkey"] for row in rows] == [f"validator-{i}" for i in range(1, 8)]
    for row in rows:
        own = [s for s in day if s.hotkey == row["hotkey"]]
        assert row["requests"] == len(own) == row["answered"] + row["errors"]
        assert row["errors"] == sum(s.probability is None for s in own)
        assert row["last_seen"] == own[-1].time
        assert row["latency"] == pytest.approx(0.15, abs=0.02)
        assert row["score"] == pytest.approx(0.42, abs=0.1)


def test_strangers_and_silent_validators_have_rows_too() -> None:
    seen = observed()
    found = status(validators=(replace(seen.validators[0], hotkey="silent", stake=9e9), *seen.validators[1:]))
    first, last = found["validators"][0], found["validators"][-1]
    assert (first["hotkey"], first["requests"], first["latency"], first["last_seen"]) == ("silent", 0, None, None)
    assert (last["hotkey"], last["stake"], last["uid"]) == ("validator-1", None, 1)


# -- states ------------------------------------------------------------------------------------------------------------


def grave(code: str) -> tuple[Finding, ...]:
    return (Finding(code, Severity.CRITICAL, f"{code} holds", (), "do something"),)


@pytest.mark.parametrize(
    ("changes", "findings", "state", "why"),
    [
        ({}, (), "serving", ""),
        ({}, (Finding("x", Severity.WARNING, "t", (), "r"),), "serving", ""),
        ({}, grave("subnet_halted"), "serving", ""),
        ({}, grave("one_class"), "degraded", "one_class holds"),
        ({"models": MODELS | {"stuck": "1.4.0 is sick"}}, grave("one_class"), "degraded", "1.4.0 is sick"),
        ({"closed": "starting"}, (), "starting", "it admits no requests yet"),
        ({"closed": "draining"}, grave("one_class"), "draining", "it answers what is in flight and ends"),
        ({"closed": "deregistered"}, (), "deregistered", "the hotkey has no UID"),
        ({"running": False}, grave("one_class"), "stopped", "no miner is running"),
    ],
)
def test_states(changes: dict[str, Any], findings: tuple[Finding, ...], state: str, why: str) -> None:
    found, reason = state_of(replace(FACTS, **changes), findings)
    assert found == state
    assert reason.startswith(why)
    assert bool(reason) == bool(why)


def test_a_fresh_miner_has_empty_parts_and_no_guesses() -> None:
    found = fresh()
    for part in (found["standing"], found["series"], found["requests"], found["models"], found["log"]):
        assert part is None
    assert found["traffic"]["stages"] == {}
    assert found["traffic"]["headroom"] is None
    assert found["validators"] == found["findings"] == []
    assert found["chain"]["age"] is None
    assert found["diagnosis"] is not None
    assert found["diagnosis"]["cause"] == "unknown"


def test_an_unread_metagraph_has_no_age() -> None:
    assert status(snapshot_age=float("inf"))["chain"]["age"] is None


# -- the window of requests --------------------------------------------------------------------------------------------


def sample(time: float, hotkey: str = "v") -> Sample:
    return Sample(time, hotkey, 1, "ok", 0.5, 1, 1, 8.0, 0.001, 0.001, 0.01, 0.0, 0.1, 0.12, 0.001)


def test_answers_to_pictures_without_their_end_are_counted_live_and_from_the_log(logbook: Logbook) -> None:
    answer = logbook.answer(0.7)
    cut = replace(answer, decoded=0.96)
    records = [logbook.record(b"jpeg", prediction) for prediction in (answer, cut, cut)]
    heard = Samples()
    for record in records:
        heard(record)
    logbook.write(*records)
    with LogReader(logbook.folder) as reader:
        logged = [sample_of_row(row) for row in reader.rows()]
    part = traffic_part(heard.newest(), logbook.moment + 1, None)
    assert (part["answered"], part["incomplete"]) == (3, 2)
    assert traffic_part(logged, logbook.moment + 1, None)["incomplete"] == 2
    told = status()
    told["traffic"] = part
    assert "3 of 3 answered, 2 cut short in the last hour" in traffic_words(told)


def test_a_young_process_counts_from_its_start() -> None:
    part = traffic_part([sample(990.0), sample(995.0)], 1000.0, listening_since=970.0)
    assert part["window"] == 30.0
    assert part["per_minute"] == 4.0


def test_requests_of_before_the_restart_widen_the_window() -> None:
    part = traffic_part([sample(900.0), sample(995.0)], 1000.0, listening_since=970.0)
    assert (part["window"], part["requests"]) == (3600.0, 2)


def test_a_flood_counts_over_what_is_remembered() -> None:
    samples = [sample(1000.0 - 0.01 * (MOST - i)) for i in range(MOST)]
    part = traffic_part(samples, 1000.0, listening_since=0.0)
    assert part["window"] == pytest.approx(100.0)
    assert part["per_minute"] == pytest.approx(6000.0)


def test_samples_keep_no_images_and_no_strangers() -> None:
    record = RequestRecord(
        Dialect.LEGACY, "5Abc", None, 0.0, False, 401, "bad_signature", b"x" * 9, None, 1.0, None, StageTimings(), ""
    )
    kept = Samples(most=2)
    kept(record)
    assert kept.newest() == ()
    for time in (1.0, 2.0, 3.0):
        kept(replace(record, authenticated=True, uid=3, arrival=time, status=503, reason="overloaded"))
    assert [(s.time, s.probability, s.reason) for s in kept.newest()] == [
        (2.0, None, "overloaded"),
        (3.0, None, "overloaded"),
    ]
    assert "x" * 9 not in repr(kept.kept())


# -- series ------------------------------------------------------------------------------------------------------------


def test_a_series_covers_the_history_without_holes() -> None:
    seen = observed()
    series = standing_series(seen.points, seen.now, 90.0, 120)
    assert series is not None
    assert series["since"] == pytest.approx(seen.now - DAYS * DAY, abs=4_400)  # downsampled to a tempo
    assert len(series["rank"]["mean"]) == 120
    assert None not in series["rank"]["mean"]
    for low, mean, high in zip(*(series["incentive"][k] for k in ("low", "mean", "high")), strict=True):
        assert low <= mean <= high


def test_the_extremes_of_the_history_survive_few_intervals() -> None:
    seen = observed()
    points = [*seen.points]
    points[len(points) // 2] = replace(points[len(points) // 2], rank=240, emission=0.0)
    series = standing_series(points, seen.now, 90.0, 10)
    assert series is not None
    assert max(v for v in series["rank"]["high"] if v is not None) == 240
    assert min(v for v in series["emission_per_day"]["low"] if v is not None) == 0.0


def test_time_without_the_miner_is_a_gap_and_without_a_uid_too() -> None:
    seen = observed()
    away = [p for p in seen.points if not 0.5 * DAY < seen.now - p.time < 1.5 * DAY]
    series = standing_series(away, seen.now, 3.0, 72)
    assert series is not None
    assert 20 <= series["rank"]["mean"].count(None) <= 25
    gone = [replace(p, uid=None, rank=None) for p in seen.points]
    series = standing_series(gone, seen.now, 3.0, 10)
    assert series is not None
    assert series["rank"]["mean"] == series["emission_per_day"]["mean"] == [None] * 10
    assert None not in series["burn_share"]["mean"]


def test_one_point_makes_one_interval() -> None:
    seen = observed()
    series = standing_series(seen.points[-1:], seen.now, 90.0, 120)
    assert series is not None
    assert len(series["rank"]["mean"]) == 1
    assert standing_series((), seen.now, 90.0, 120) is None
    assert standing_series(seen.points, seen.now + 1000 * DAY, 1.0, 10) is None


def test_requests_add_up_whatever_the_span_of_their_buckets() -> None:
    now = 1.795e9
    buckets = [TrafficBucket(now - age, span, requests=10, answered=9) for age, span in (
        (80 * DAY, DAY), (79 * DAY, DAY), (20 * DAY, HOUR), (2 * DAY, 600.0), (700.0, 600.0), (10.0, 600.0)
    )]  # fmt: skip
    series = request_series(buckets, now, 90.0, 120)
    assert series is not None
    assert series["step"] == DAY
    assert (sum(series["answered"]), sum(series["failed"])) == (54, 6)
    short = request_series(buckets, now, 3.0, 120)
    assert short is not None
    assert (short["step"], sum(short["answered"])) == (1800.0, 27)
    assert request_series([], now, 90.0, 120) is None


def test_spans_are_honoured() -> None:
    found = status(span=Span(days=1.0, intervals=24, counted_days=3.0))
    assert found["series"] is not None
    assert len(found["series"]["rank"]["mean"]) == 24
    assert found["counted"]["span"] == 3 * DAY
    assert found["counted"]["requests"] > 2 * status()["counted"]["requests"]
    assert Facts("1", 72, "x").running


def test_a_backend_is_shown_with_what_it_answered_and_where_to_see_more() -> None:
    view = BackendView("ray", "closed", observed().now - 60.0, "", "", 1204, 6, "http://10.0.0.5:8265")
    words = "ray answers: 1,204 of 1,210 requests, the embedded model the others; see http://10.0.0.5:8265"
    assert backend_words(status(backend=view)) == words
    away = replace(view, state="open", why="connection refused")
    assert "ray has not answered for 60 s (connection refused)" in backend_words(status(backend=away))
    assert backend_words(status()) == ""
