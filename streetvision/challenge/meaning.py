"""What the outcome of a challenge means to the operator, and what to do. Pure."""

from __future__ import annotations

from streetvision.challenge.exchange import NO_ANSWER, Outcome

_STRANGER = (
    "reachable, and refused because this hotkey is no validator: that is good news, for a validator's challenge "
    "gets in the same way"
)
_MEANINGS = {
    400: "reachable, but it calls the request malformed: send a JPEG, PNG or WebP; a proxy between may drop headers",
    401: "reachable, but the signature did not hold: name the miner's hotkey with --hotkey, and compare the clocks",
    403: _STRANGER,
    404: "something answers there, but it serves no challenges: is it the miner's port (--axon.port)?",
    405: "something answers there, but it serves no challenges: is it the miner's port (--axon.port)?",
    408: "reachable, but the request arrived too slowly to be answered in time: look at the line between",
    413: "reachable, but the picture is larger than --axon.max_body_mib allows",
    429: "reachable, but this hotkey has asked more often than --axon.requests_per_minute allows",
    500: "reachable, but the miner failed: its log says more",
    503: "reachable, but it does not take requests now: `streetvision status` on its machine says why",
}
_UNREACHABLE = {
    "connection refused": "does the miner run there, and is the port forwarded to it?",
    "no answer": "a firewall may drop what comes in, or nothing runs at this address",
    "the name": "check its spelling, or give the IP address",
}


def meaning_of(outcome: Outcome) -> str:
    """One sentence; empty for an answer."""
    if outcome.probability is not None:
        return ""
    if outcome.status == NO_ANSWER:
        hint = next((text for begin, text in _UNREACHABLE.items() if outcome.message.startswith(begin)), "")
        return f"{outcome.message}: {hint}" if hint else outcome.message
    if outcome.status == 200:
        return f"answered, but {outcome.message}"
    meaning = _MEANINGS.get(outcome.status, "reachable, but what answers is no miner, or a proxy before it")
    return f"{meaning} ({outcome.message})" if outcome.message else meaning
