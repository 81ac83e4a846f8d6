"""The settings of Modal: GPUs rented by the second that answer in the model's place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streetvision.settings.parsing import declare, integer, number, one_of

CARDS: Mapping[str, str] = MappingProxyType(
    {"t4": "T4", "l4": "L4", "a10": "A10", "l40s": "L40S", "a100": "A100-80GB", "h100": "H100", "h200": "H200"}
)
"""Our names of cards, and Modal's."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def parse_app(text: str) -> str:
    """The name of an app or an environment at Modal."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r:.100} is no name at Modal: up to 63 letters, digits, dots, dashes and underscores")
    return text


def parse_environment(text: str) -> str:
    """As an app's name; empty for the workspace's default."""
    return parse_app(text) if text else text


@dataclass(frozen=True, kw_only=True)
class ModalSettings:
    """Which app at Modal answers, on what, and for how much: `--modal.*`. The token is Modal's own business."""

    app: str = declare("streetvision", "Name of the app at Modal; miners with the same name share it.", parse_app)
    environment: str = declare("", "Environment at Modal; empty: the workspace's default.", parse_environment)
    card: str = declare("l4", f"GPU of a container: {', '.join(f'`{card}`' for card in CARDS)}.", one_of(*CARDS))
    warm: int = declare(
        0, "Containers that are always warm, and paid for; 0: none while no request comes.", integer(0, 100)
    )
    most: int = declare(2, "Containers at once, at most.", integer(1, 100))
    idle_s: int = declare(60, "Seconds that a container stays warm after its last request.", integer(2, 1200))
    month_usd: float = declare(
        50.0,
        "US dollars that the app may cost in a calendar month (UTC). Then the embedded model answers again, and no "
        "container is kept warm.",
        number(0.0, 1e6),
    )

    @property
    def containers(self) -> int:
        """At once, at most; those that are kept warm count."""
        return max(self.most, self.warm)
