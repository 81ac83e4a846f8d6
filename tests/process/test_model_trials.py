"""Trials in the real miner process while validators ask: canaries that decide themselves, a shadow led by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

Start = Callable[..., Any]
Models = Callable[..., Any]
QUICK = ("--rollout.min_samples", "30", "--rollout.min_agreement", "0.8")


def decided_by_gates(status: dict[str, Any]) -> set[tuple[str, str]]:
    """Events and versions; written down a moment after they took effect."""
    return {(line["event"], line["version"]) for line in status["decisions"] if line["by"] == "gates"}


def test_a_canary_promotes_itself_and_a_bad_one_rolls_itself_back(
    serve: Start, add: Callable[..., None], models: Models, load_on: Any, port: int
) -> None:
    add("0.2.0", invert=True)
    add("0.3.0", noise=0.01)
    miner = serve(*QUICK)
    with load_on(port, pause_s=0.05) as load:
        assert models("canary", "0.2.0", "--share", "50%").end()[0] == 0
        miner.wait_until(lambda status: "0.2.0" in status["bad"])
        assert miner.models()["active"]["version"] == "0.1.0"
        why = miner.models()["bad"]["0.2.0"]["why"]
        assert "it agrees on" in why or "differ" in why
        code, _, err = models("swap", "0.2.0").end()
        assert code == 1
        assert "was rolled back at" in err
        assert models("canary", "0.3.0", "--share", "0.5").end()[0] == 0
        miner.wait_until(lambda status: status["active"]["version"] == "0.3.0")
        load.wait_for(20)
    assert set(load.statuses) == {200}
    miner.wait_until(lambda status: {("rollback", "0.2.0"), ("promote", "0.3.0")} <= decided_by_gates(status))
    assert "rollback 0.2.0 by gates" in models("status").end()[1]


def test_shadow_promotion_and_rollback_by_hand(
    serve: Start, add: Callable[..., None], models: Models, load_on: Any, port: int
) -> None:
    add("0.2.0", noise=0.01)
    miner = serve("--rollout.min_samples", "100000")
    with load_on(port, pause_s=0.05) as load:
        code, out, _ = models("shadow", "0.2.0", "--share", "100%").end()
        assert (code, out) == (0, "Version 0.2.0 is tried as shadow on 100% of the images.\n")
        miner.wait_until(lambda status: status["candidate"]["report"]["samples"] > 5)
        shown = models("status").end()[1]
        assert "shadow" in shown
        assert "agree" in shown
        code, _, err = models("swap", "0.2.0").end()
        assert code == 1
        assert "is tried as shadow" in err
        assert models("shadow", "--stop").end()[0] == 0
        code, _, err = models("shadow", "--stop").end()
        assert (code, err) == (1, "error: Nothing is tried at the moment.\n")
        assert models("shadow", "0.2.0").end()[0] == 0
        assert models("promote").end()[0] == 0
        assert miner.models()["active"]["version"] == "0.2.0"
        load.wait_for(10)
        code, out, _ = models("rollback", "--json").end()
        assert code == 0
        assert json.loads(out)["active"] == "0.1.0"
        load.wait_for(10)
    assert set(load.statuses) == {200}
    assert "0.2.0" in miner.models()["bad"]
    assert miner.terminate()[0] == 0
