"""The settings of the oracle: a larger model that labels pictures, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from streetvision.errors import ConfigError
from streetvision.settings.parsing import (
    declare,
    integer,
    is_loopback,
    number,
    parse_http_address,
    parse_key,
    parse_model_name,
    parse_names,
)
from streetvision.settings.secret import Secret

NOTHING = Secret()


def parse_day(text: str) -> str:
    """A day as `2026-11-30`; empty for none."""
    if text:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a day such as 2026-11-30") from None
    return text


@dataclass(frozen=True, kw_only=True)
class OracleSettings:
    """Who is asked for labels, how, and for how much: `--oracle.*`."""

    url: str = declare(
        "",
        "Address of an OpenAI-compatible API, up to and with /v1, whose model labels pictures; empty: nobody is asked.",
        parse_http_address,
    )
    key: Secret = declare(NOTHING, "Secret. Key of that API; empty where it asks for none.", parse_key)
    model: str = declare("", "Name of the model there, as `/v1/models` lists it.", parse_model_name)
    crops: int = declare(
        2,
        "Parts of a picture that are judged beside the whole, each for the price of one more question.",
        integer(0, 4),
    )
    pixels: int = declare(
        1024, "Longest side at which pictures are sent; smaller is cheaper and shows less.", integer(224, 4096)
    )
    examples: str = declare(
        "", "Dataset from which labelled pictures are shown with every question; empty: none.", parse_names
    )
    shots: int = declare(
        4, "How many of --oracle.examples are shown, half of them roadwork; each is paid anew.", integer(2, 16)
    )
    answer_tokens: int = declare(300, "Longest answer, in tokens; a longer one is cut and lost.", integer(50, 4000))
    timeout_s: float = declare(90.0, "Seconds to wait for an answer.", number(1.0, 900.0))
    concurrency: int = declare(4, "Questions under way at once.", integer(1, 256))
    per_minute: float = declare(0.0, "Most questions a minute; 0: as many as the server takes.", number(0.0, 1e6))
    input_price: float = declare(
        0.0, "What a million tokens of questions cost, in any currency; 0 on a machine of your own.", number(0.0, 1e6)
    )
    output_price: float = declare(0.0, "What a million tokens of answers cost.", number(0.0, 1e6))
    price_date: str = declare(
        "", "Day on which you looked these prices up, such as `2026-11-30`: old prices are told.", parse_day
    )
    day_tokens: int | None = declare(
        None, "Tokens that may be used in a day (UTC); empty: no bound.", integer(0, 10**12)
    )
    month_tokens: int | None = declare(
        None, "Tokens that may be used in a calendar month; empty: no bound.", integer(0, 10**12)
    )
    day_money: float | None = declare(
        None, "Money that may be spent in a day, in the currency of the prices; empty: no bound.", number(0.0, 1e9)
    )
    month_money: float | None = declare(
        None, "Money that may be spent in a calendar month; empty: no bound.", number(0.0, 1e9)
    )
    retrain_pictures: int = declare(
        0,
        "Pictures of the last week that a retraining run has labelled, those that you labelled left out; 0: none. "
        "Needs a bound where prices are set.",
        integer(0, 1_000_000),
    )

    def __post_init__(self) -> None:
        if bool(self.url) != bool(self.model):
            raise ConfigError("the oracle needs an address and a model: set --oracle.url and --oracle.model")
        if self.key and urlsplit(self.url).scheme == "http" and not is_loopback(urlsplit(self.url).hostname or ""):
            raise ConfigError("--oracle.url must begin with https:// where a key is sent, but for this machine's own")
        if self.is_priced and not self.price_date:
            raise ConfigError("prices change: say with --oracle.price_date when you looked them up")
        if self.retrain_pictures and self.is_priced and not self.is_bounded:
            raise ConfigError("runs by night need a bound where questions cost money: set --oracle.month_money")
        if not self.is_priced and (self.day_money is not None or self.month_money is not None):
            raise ConfigError("a bound in money needs prices: set --oracle.input_price and --oracle.output_price")

    @property
    def is_configured(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.url)

    @property
    def is_priced(self) -> bool:
        """Whether questions cost money."""
        return self.input_price > 0 or self.output_price > 0

    @property
    def is_bounded(self) -> bool:
        """Whether anything but the pictures ends a run."""
        return any(one is not None for one in (self.day_tokens, self.month_tokens, self.day_money, self.month_money))
