"""Knowledge that several rules need, and the time from which their silence proves that all is well."""

from __future__ import annotations

from streetvision.monitor.derived import recent
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Absence, Need
from streetvision.monitor.thresholds import HOUR
from streetvision.retrain_log.records import RunState

METAGRAPH = Need("the metagraph was never read", lambda seen, _: seen.latest is not None)
MINER = Need("no running miner", lambda seen, _: seen.traffic.listening_since is not None)
REFUSALS = Need("no count of refused requests", lambda seen, _: seen.refusals is not None)
REQUESTS = Need(
    "too few requests in the last hour",
    lambda seen, limits: recent(seen, limits).requests >= limits.failing_requests,
)

SILENCE_S = 6 * HOUR
"""Long enough for any silence to be noticed anew."""
CARD_S = 10 * 60.0
"""The card is looked at on the hub soon after a start."""


def listened_s(seen: Observation) -> float:
    """Seconds for which this process has listened for requests; 0 without a running miner."""
    since = seen.traffic.listening_since
    return 0.0 if since is None else seen.now - since


def proves_after_requests(seen: Observation) -> bool:
    """Once validators have asked, or should have."""
    return bool(seen.traffic.seen) or listened_s(seen) >= SILENCE_S


def proves_after(seconds: float) -> Absence:
    """Once the miner has listened for so long."""
    return lambda seen: listened_s(seen) >= seconds


def proves_with_retraining(seen: Observation) -> bool:
    """Once the log of retraining was read, where there is one, and no run is going, which may end as the last did."""
    view = seen.retrain
    return view is None or not (view.problem or (view.last is not None and view.last.state == RunState.RUNNING))


def proves_after_card(seen: Observation) -> bool:
    """Once the model and its card were looked at."""
    return seen.model is not None and listened_s(seen) >= CARD_S
