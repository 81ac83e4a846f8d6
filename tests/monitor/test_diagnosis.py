"""Why am I not earning: the first reason that holds, in order, and what was ruled out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.observation import ModelView, Observation, Probe
from streetvision.monitor.traffic import Traffic

Make = Callable[..., Any]
ORDER = [cause for cause in Cause if cause not in (Cause.EARNING, Cause.UNKNOWN)]


def test_a_healthy_miner_earns_and_everything_is_ruled_out(seen: Make) -> None:
    diagnosis = diagnose(seen())
    assert diagnosis.cause is Cause.EARNING
    assert [r.cause for r in diagnosis.ruled_out] == ORDER
    assert all(r.known and r.why for r in diagnosis.ruled_out)
    assert "12 alpha a day (0.24 TAO)" in diagnosis.evidence[0]


def test_earlier_reasons_hide_later_ones(seen: Make, point: Make, epochs: Make, traffic: Make, now: float) -> None:
    """Everything is wrong at once; putting the first right shows the next."""
    refused = Probe("203.0.113.7:8091", False, "connection refused", now, from_outside=True)
    gone = {"uid": None, "registered_at": None, "incentive": 0.0, "emission": 0.0}
    all_wrong = seen(
        points=(*epochs(burn_share=[0.0] * 5), point(0, burn_share=1.0, **gone)),
        traffic=traffic(silent_s=9_000.0),
        probe=refused,
    )
    assert diagnose(all_wrong).cause is Cause.HALTED
    deregistered = replace(all_wrong, points=(*epochs(burn_share=[0.0] * 5), point(0, **gone)))
    assert diagnose(deregistered).cause is Cause.NOT_REGISTERED
    unreachable = replace(all_wrong, points=seen().points)
    assert diagnose(unreachable).cause is Cause.NOT_REACHABLE
    unasked = replace(unreachable, probe=replace(refused, reached=True))
    assert diagnose(unasked).cause is Cause.NOT_QUERIED
    assert [r.cause for r in diagnose(unasked).ruled_out] == ORDER[:3]


def test_unpaid_for_three_tempos_is_wrong_and_before_is_too_early(seen: Make, epochs: Make) -> None:
    unpaid = {"incentive": [0.0] * 10, "emission": [0.0] * 10}
    born = 7_000_000 - 100 - 3 * 360
    young = seen(points=epochs(**unpaid, registered_at=[born + 360] * 10))
    assert diagnose(young).cause is Cause.UNKNOWN
    older = seen(points=epochs(**unpaid, registered_at=[born] * 10))
    diagnosis = diagnose(older)
    assert diagnosis.cause is Cause.ANSWERING_WRONG
    assert "no incentive in 3 of its 3 tempos" in diagnosis.evidence[0]


def test_a_foreign_card_explains_only_a_missing_reward(seen: Make, epochs: Make, now: float) -> None:
    foreign = ModelView("street", "1.0.0", now, "somebody-else", "model_card.json")
    assert diagnose(seen(model=foreign)).cause is Cause.EARNING
    unpaid = seen(points=epochs(incentive=[0.0] * 10, emission=[0.0] * 10), model=foreign)
    diagnosis = diagnose(unpaid)
    assert diagnosis.cause is Cause.ANSWERING_WRONG
    assert "another hotkey" in diagnosis.title


def test_too_little_known_is_said(now: float) -> None:
    diagnosis = diagnose(Observation(now=now, hotkey="own"))
    assert diagnosis.cause is Cause.UNKNOWN
    assert not any(r.known for r in diagnosis.ruled_out)


def test_without_a_running_miner_the_chain_still_answers(seen: Make) -> None:
    diagnosis = diagnose(seen(traffic=Traffic()))
    assert diagnosis.cause is Cause.EARNING
    assert [r.cause for r in diagnosis.ruled_out if not r.known] == [
        Cause.NOT_REACHABLE,
        Cause.NOT_QUERIED,
        Cause.REFUSING_IMAGES,
        Cause.ANSWERING_LATE,
    ]


def test_a_stale_metagraph_is_a_caveat(seen: Make) -> None:
    assert "the metagraph is 33 min old" in diagnose(seen(snapshot_age=2_000.0)).evidence[-1]


def test_it_is_json(seen: Make) -> None:
    told = json.loads(json.dumps(diagnose(seen()).as_dict()))
    assert told["cause"] == "earning"
    assert told["ruled_out"][0]["cause"] == "halted"
