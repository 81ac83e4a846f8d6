"""The miner's flags: their parser, what a command line says, and the flags that give certain settings."""

from __future__ import annotations

import argparse
import difflib
import functools
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from streetvision.errors import ConfigError
from streetvision.settings.fields import ENV_FILE_VARIABLE, SETTINGS, Setting, setting
from streetvision.settings.official import BY_FLAG
from streetvision.settings.settings import Settings
from streetvision.settings.sources import Source
from streetvision.subnet import SUBNET

_HELP = "`python neurons/miner.py --help` lists the flags"
_EPILOG = (
    "Every flag can also be set in the environment or in miner.env; flags win, then the environment. A switch takes "
    "true or false (yes and no, on and off, 1 and 0 are read too); alone it means true. Flags are spelt as "
    "bittensor's own, with dots and underscores; dashes in place of underscores are read too."
)


def without_secrets(text: str) -> str:
    """The text, addresses and tokens in it shortened: a misspelt flag may carry one."""
    text = re.sub(r"(--[\w.-]*(?:password|secret|token)[\w.-]*)[ =].*", r"\1 ...", text, flags=re.DOTALL)
    return re.sub(r"(https?://|\b\d{3,20}:)[^\s'\"]+", r"\1...", text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{without_secrets(message)}; {_HELP}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as argparse has it
        return super().parse_known_args([spelt(word) for word in args or ()], namespace)


def build_parser(*, epilog: str | None = None) -> argparse.ArgumentParser:
    """Flags for every setting; values stay text so that all three sources are parsed alike."""
    parser = _Parser(
        prog="neurons/miner.py",
        description=f"Mine Bittensor subnet {SUBNET.netuid} ({SUBNET.name}).",
        epilog=epilog or _EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--env_file", metavar="FILE", help=f"Settings file; default ${ENV_FILE_VARIABLE} or ./miner.env."
    )
    for item in SETTINGS:
        parser.add_argument(
            item.flag,
            dest=item.name,
            default=None,
            nargs="?" if item.is_switch else None,
            const="true" if item.is_switch else None,
            metavar="true|false" if item.is_switch else re.split("[._]", item.name)[-1].upper(),
            help=_flag_help(item),
        )
    for flag in BY_FLAG:
        parser.add_argument(flag, dest=flag, default=None, nargs="*", help=argparse.SUPPRESS)
    return parser


def _flag_help(item: Setting) -> str:
    text = f"{item.help} [{item.env[0]}; default: {item.default_text or 'empty'}]"
    return text.replace("%", "%%")


def spelt(word: str) -> str:
    """The word with the flag in it spelt as declared, dashes and underscores being alike."""
    flag, equals, value = word.partition("=")
    return f"{_declared().get(_plain(flag), flag)}{equals}{value}" if flag.startswith("--") else word


@functools.cache
def _declared() -> dict[str, str]:
    """Every flag by its plain spelling."""
    return {_plain(known): known for known in _flags()}


def _plain(flag: str) -> str:
    return flag[:2] + flag[2:].replace("-", "_")


def _flags() -> list[str]:
    return ["--env_file", "--help", *(item.flag for item in SETTINGS), *BY_FLAG]


def read_flags(argv: Sequence[str]) -> tuple[Source, str | None, list[str]]:
    """What a command line says, the settings file that it names, and a clause for each word that is no flag's.

    ConfigError for a flag without its value.
    """
    found, rest = build_parser().parse_known_args(list(argv))
    texts = vars(found)
    env_file = texts.pop("env_file")
    source = Source()
    for name, text in texts.items():
        if text is None:
            continue
        if name in BY_FLAG:
            if BY_FLAG[name].wants_value and not text:
                raise ConfigError(f"{name} expects a value; {_HELP}")
            source.put_official(BY_FLAG[name], name, " ".join(text) if text else "true")
        elif text:  # as everywhere, an empty value means unset
            source.put(name, setting(name).flag, text)
    return source, env_file, _unknown_words(rest)


def _unknown_words(rest: Sequence[str]) -> list[str]:
    """A clause for each unknown flag, with the nearest known one; its values go with it."""
    clauses, value_of = [], ""
    for word in rest:
        if word.startswith("-") and not re.fullmatch(r"-[\d.]+", word):
            value_of = word.partition("=")[0]
            clauses.append(f"{without_secrets(value_of)} is no flag of the miner{_hint(value_of)}")
        elif not value_of:
            clauses.append(f"{without_secrets(word)!r} belongs to no flag")
    return clauses


@functools.cache
def _hint(flag: str) -> str:
    plain = _plain(flag)
    for item in SETTINGS:
        if item.is_switch and plain in (f"--no_{item.name}", f"--no{item.name}"):
            return f" (did you mean {item.flag} false?)"
    near = difflib.get_close_matches(plain, [known for known in _flags() if known not in BY_FLAG], n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def unknown_sentence(clauses: Sequence[str]) -> str:
    """One sentence out of the clauses."""
    return f"{'; '.join(clauses)}; {_HELP}"


def flags_of(settings: Settings, *, without: Sequence[str] = ()) -> list[str]:
    """The flags that give these settings but defaults, secrets and the named ones; values are not shell-quoted."""
    flags = []
    for item in SETTINGS:
        value = item.value_in(settings)
        if value != item.default and item.name not in without and not item.is_secret:
            flags += [item.flag, str(value).lower() if isinstance(value, bool) else str(value)]
    return flags
