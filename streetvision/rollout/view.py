"""The rollout as the monitor wants to see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from streetvision.monitor.observation import RolloutView
from streetvision.rollout.decision_log import BY_OPERATOR


def rollout_view(status: Mapping[str, Any]) -> RolloutView:
    """What `ModelManager.status` says, in short: a trial that runs, or the rollback by itself that was decided last."""
    candidate = status["candidate"]
    if candidate is not None:
        role: Literal["shadow", "canary"] = "canary" if candidate["role"] == "canary" else "shadow"
        return RolloutView(role, candidate["version"])
    last = status["decisions"][-1] if status["decisions"] else {}
    if last.get("event") != "rollback" or last.get("by") == BY_OPERATOR:
        return RolloutView("idle")
    return RolloutView("rolled_back", last["version"], last["why"], datetime.fromisoformat(last["at"]).timestamp())
