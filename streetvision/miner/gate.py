"""Why new requests are refused: one word that the axon reads on every request, and its sentence for operators."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "starting": "the miner is starting",
    "crash_loop": "the last starts ended in crashes: the miner waits for a while before it tries again",
    "draining": "the miner answers what is in flight and ends",
    "restarting": "the miner cannot serve any more and ends, to be started again",
    "deregistered": "the hotkey has no UID: requests are refused until it is registered again",
}


class Gate:
    """Closed while the miner starts."""

    def __init__(self) -> None:
        self.closed: str | None = "starting"
        """One of REASONS; None while requests are admitted."""
