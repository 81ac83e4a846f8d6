"""The settings of synthetic variations."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    declare,
    integer,
    is_loopback,
    number,
    one_of,
    parse_http_address,
    parse_key,
    parse_label,
    parse_model_name,
    parse_names,
)
from streetvision.settings.secret import Secret

NOTHING = Secret()
BACK_ENDS = ("local", "cosmos", "bedrock", "vllm-omni")
BY_ADDRESS = ("cosmos", "vllm-omni")
"""Servers of the operator's own, or of somebody who rents them out."""


@dataclass(frozen=True, kw_only=True)
class SyntheticSettings:
    """How variations of labelled pictures are made: `--synthetic.*`."""

    back_end: str = declare(
        "",
        "Who makes variations before each retraining: `local` (this machine, free), `cosmos`, `bedrock`, `vllm-omni`; "
        "empty: nobody (docs/synthetic.md).",
        one_of("", *BACK_ENDS),
    )
    kinds: str = declare(
        "night,rain,fog,snow,dirt",
        "Kinds to make, separated by commas: those, `blur`, `works`, `look_alikes`, and `without` (works taken out). "
        "The default has light and weather alone: drawn works cost more right answers than they gained in our trial.",
        parse_names,
    )
    count: int = declare(200, "Variations to make before each retraining, at most.", integer(1, 100_000))
    max_share: float = declare(0.25, "Share of the pictures learned from that may be variations.", number(0.01, 0.9))
    trust: float = declare(0.5, "Weight of a variation in the loss, where a labelled picture has 1.", number(0.01, 1.0))
    url: str = declare(
        "", "Address of the Cosmos NIM or of the vLLM-Omni server, such as `http://10.0.0.5:8000`.", parse_http_address
    )
    key: Secret = declare(NOTHING, "Secret. Key that the server at --synthetic.url asks for, if any.", parse_key)
    model: str = declare("", "Model to ask for; empty: the server's own, or Bedrock's image control.", parse_model_name)
    region: str = declare("", "AWS region of Bedrock; empty: as AWS's own settings say.", parse_label)
    price: float = declare(
        0.0,
        "What one picture of the back end costs you, by today's price list, in any currency; 0: nothing.",
        number(0.0, 1000.0),
    )
    budget: float = declare(
        0.0,
        "Money that variations may cost in a calendar month, in the currency of --synthetic.price; a back end that has "
        "a price is sent nothing before this is set.",
        number(0.0, 1e9),
    )
    daily: int = declare(
        1000, "Pictures that are sent to a back end on other machines in a day (UTC).", integer(1, 10**6)
    )

    def __post_init__(self) -> None:
        if self.back_end in BY_ADDRESS and not self.url:
            raise ConfigError(f"--synthetic.back_end {self.back_end} needs the server's address: set --synthetic.url")
        if self.back_end == "bedrock" and not self.price:
            raise ConfigError("Bedrock bills each picture: set --synthetic.price as AWS's price list says")
        if self.back_end and self.price and not self.budget:
            raise ConfigError("--synthetic.price needs a bound: set --synthetic.budget")
        address = urlsplit(self.url)
        if self.key and address.scheme == "http" and not is_loopback(address.hostname or ""):
            raise ConfigError("--synthetic.key would cross the network in the clear: give --synthetic.url as https://")

    @property
    def kind_names(self) -> tuple[str, ...]:
        """One by one."""
        return tuple(name.strip() for name in self.kinds.split(","))
