"""How the text of a setting becomes a value: each parser raises ValueError with a clause that says what is wrong."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streetvision.base.paths import expanded
from streetvision.errors import ConfigError
from streetvision.settings.secret import Secret

MOCK_NETWORK = "mock"
NEVER = "never"
"""Time of day of a digest that nobody wants."""
NETWORKS = ("finney", "test", "local", "archive", "devnet", MOCK_NETWORK)


def parse_bool(text: str) -> bool:
    """Read a switch as people write it in an environment file; ValueError otherwise."""
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Reads a number from `low` to `high`; neither NaN nor, within finite bounds, infinity."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        if not low <= value <= high:  # also refuses NaN
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of: {', '.join(word or 'none' for word in allowed)}")
        return text

    return parse


def parse_network(text: str) -> str:
    """A network by name or by a node's address."""
    if text in NETWORKS or text.startswith(("ws://", "wss://")):
        return text
    raise ValueError(f"{text!r} is neither one of {', '.join(NETWORKS)} nor a ws:// or wss:// address")


def parse_endpoints(text: str) -> str:
    """One or several addresses of nodes, separated by commas."""
    for part in text.split(","):
        if not part.strip().startswith(("ws://", "wss://")):
            raise ValueError(f"{part.strip()!r} is not a ws:// or wss:// address")
    return text


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address, in brackets or not."""
    return str(ipaddress.ip_address(text.strip("[]")))


def parse_cluster(text: str) -> str:
    """`host:port` of a cluster's head; empty for none."""
    if not text:
        return text
    host, _, port = text.rpartition(":")
    if "," in host:
        raise ValueError("a cluster has one head")
    parse_hosts(host)
    integer(1, 65535)(port)
    return text


def parse_path(text: str) -> Path:
    """A path; `~` is a home."""
    try:
        return expanded(text)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def parse_hosts(text: str) -> str:
    """Names of hosts without ports, separated by commas."""
    for part in text.split(","):
        if re.fullmatch(r"[A-Za-z0-9_]([\w.-]{0,252})", part.strip(), re.ASCII) is None:
            raise ValueError(f"{part.strip()!r} is not the name of a host")
    return text


def parse_device(text: str) -> str:
    """Where the model runs, by name; whether it is there is seen later."""
    if re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is no device: use auto, cpu or cuda, or cuda:N for one of several")
    return text


def is_repo(text: str) -> bool:
    """Whether a text has the form of a repository, `owner/name`."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", text, re.ASCII) is not None


def parse_repo(text: str) -> str:
    """A repository as `owner/name`."""
    if not is_repo(text):
        raise ValueError(f"{text!r} is not owner/name")
    return text


def parse_names(text: str) -> str:
    """Names of datasets or paths of folders, separated by commas."""
    if not text.isprintable() or not all(part.strip() for part in text.split(",")):
        raise ValueError(f"{text!r} is no list of names separated by commas")
    return text


_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_WORDS = {
    3: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}


def parse_cron(text: str) -> str:
    """Five fields of cron: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday)."""
    fields = text.split()
    if len(fields) != len(_CRON):
        raise ValueError(f"{text!r} is not five fields of cron such as 0 2 * * *")
    for place, field_text in enumerate(fields):
        if not all(_is_cron(part, place) for part in field_text.lower().split(",")):
            raise ValueError(f"{field_text!r} in {text!r} is no field of cron")
    if "*" not in (fields[2], fields[4]):
        raise ValueError(f"{text!r} names days of the month and of the week: name one of them")
    return " ".join(fields).lower()


def _is_cron(part: str, place: int) -> bool:
    """Whether it is `*`, a value or a range, with a step or without."""
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0 and (span == "*" or "-" in span)):
        return False
    if span == "*":
        return True
    low, high = _CRON[place]
    words = _CRON_WORDS.get(place, ())
    ends = [low + words.index(end) if end in words else _digits(end) for end in span.split("-")]
    return len(ends) <= 2 and all(low <= end <= high for end in ends) and ends == sorted(ends)


def _digits(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else -1


def declare(
    default: Any,  # noqa: ANN401 - a dataclass default is of its field's type
    help: str,
    parse: Callable[[str], Any],
    *,
    env: str | tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - stands in for any field type, as dataclasses.field does
    """A setting as a dataclass field: what it does and how it is read.

    `env` names its variables where they are not the flag in capitals; the first one is written, the others are read.
    """
    names = (env,) if isinstance(env, str) else env
    return field(default=default, metadata={"help": help, "parse": parse, "env": names})


# -- alerts: no parser of a secret repeats it in its error -------------------------------------------------------------

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def parse_secret(text: str) -> Secret:
    """Any text of one line, to be hidden."""
    if not text.isprintable():
        raise ValueError("the value holds control characters")
    return Secret(text)


def parse_address_of_hook(text: str) -> Secret:
    """An https:// address (http:// on this machine alone), to be hidden: it is all that a sender needs."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the value is not an address") from None
    if parts.scheme not in ("https", "http") or not host or not text.isprintable() or " " in text:
        raise ValueError("the value is not an https:// address")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the address must begin with https://, as it is a secret")
    return Secret(text)


def parse_http_address(text: str) -> str:
    """An http:// or https:// address without user, key, query or a slash at its end; empty for none.

    What is refused is not told: it may hold a password.
    """
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if text and not (known and _is_plain(text)):
        raise ValueError("the value is not an http:// or https:// address such as http://10.0.0.5:8000")
    if text and (parts.query or parts.fragment or "@" in parts.netloc):
        raise ValueError("the address must hold no user, key or query: the key has a setting of its own")
    return text.rstrip("/")


def parse_key(text: str) -> Secret:
    """A key as a header carries it, to be hidden."""
    if not (text.isascii() and _is_plain(text)):
        raise ValueError("the value is no key: it holds spaces or signs that no header carries")
    return Secret(text)


def parse_model_name(text: str) -> str:
    """A model by the name that its server gives it."""
    if not _is_plain(text) or len(text) > 200:
        raise ValueError("the name of a model has no spaces and at most 200 letters")
    return text


def _is_plain(text: str) -> bool:
    return text.isprintable() and " " not in text


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine, by name or number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_token(text: str) -> Secret:
    """A Telegram bot's token, to be hidden."""
    if re.fullmatch(r"\d{3,20}:[\w-]{20,100}", text, re.ASCII) is None:
        raise ValueError("the value is not a bot's token such as 110201543:AAHdqTcv...")
    return Secret(text)


def parse_chat(text: str) -> str:
    """A Telegram chat by number or a channel by name."""
    if re.fullmatch(r"-?\d{1,20}|@[A-Za-z]\w{3,63}", text, re.ASCII) is None:
        raise ValueError(f"{text!r} is neither a chat's number nor a channel's @name")
    return text


def parse_label(text: str) -> str:
    """A short name for people."""
    if not text.isprintable() or len(text) > 40:
        raise ValueError("a name has at most 40 letters and no control characters")
    return text.strip()


def parse_time_of_day(text: str) -> str:
    """`HH:MM`, or `never`."""
    if text != NEVER and _CLOCK.fullmatch(text) is None:
        raise ValueError(f"{text!r} is neither a time such as 08:00 nor {NEVER}")
    return text


def parse_quiet_hours(text: str) -> str:
    """`HH:MM-HH:MM`, over midnight too."""
    start, dash, end = text.replace(" ", "").partition("-")
    if not (dash and _CLOCK.fullmatch(start) and _CLOCK.fullmatch(end)) or start == end:
        raise ValueError(f"{text!r} is not two times such as 22:30-07:00")
    return f"{start}-{end}"


def parse_zone(text: str) -> str:
    """The name of a time zone."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{text!r} is not a time zone such as Europe/Berlin") from None
    return text
