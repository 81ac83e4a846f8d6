"""What an official miner's settings file, start script or command says. It is read, never run."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streetvision.errors import ConfigError, OperatorError, reason
from streetvision.settings.fields import SETTINGS, setting, variables
from streetvision.settings.flags import read_flags, spelt
from streetvision.settings.official import BY_FLAG, BY_VARIABLE
from streetvision.settings.shell_text import ASSIGNMENT, ShellText
from streetvision.settings.sources import NamedText, Source, read_variables, unknown_names

LONGEST = 1 << 16
"""Bytes of a file that is read; scripts and settings have a few thousand."""
FILES = ("miner.env", "start_miner.sh")
"""What is looked for in a folder."""
_MINER = re.compile(r"(.*/)?miner\.py")
_PERMIT = "--blacklist.force_validator_permit"
NO_PERMIT = (
    f"the command does not ask callers for a validator permit and this miner does: {_PERMIT} false answers every "
    "registered hotkey, as the official miner did"
)
PERMIT_FALSE = f"the official miner takes {_PERMIT} for true whatever follows it; here false means false"


@dataclass
class Official:
    """What was found: variables, and the flags of the command that starts the miner."""

    variables: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    starts: bool = False
    """Whether there was such a command."""
    hits: int = 0
    """Known variables and commands seen."""
    notes: list[str] = field(default_factory=list)

    def read(self, text: str, folder: Path) -> None:
        """Add what a script or a settings file says; files that it sources are looked for in `folder`."""
        for words in ShellText(text, self.variables).commands():
            self._command(words, folder)

    def _command(self, words: list[str], folder: Path) -> None:
        if len(words) >= 2 and words[0] in ("source", "."):
            self._source(folder / words[1], folder / Path(words[-1]).name)
            return
        for place, word in enumerate(words):
            if ASSIGNMENT.match(word) or not any(_MINER.fullmatch(part) for part in word.split()):
                continue
            self._start(words[:place], word.split() if " " in word else words[place:])  # a quoted word is a command
            return
        self._assign(words)

    def _source(self, file: Path, beside: Path) -> None:
        """Read what a script sources; where its folder is computed, the file of that name beside the script."""
        try:
            text = _text_of(file if file.exists() else beside)
        except OperatorError as error:
            self.notes.append(f"{error}; what it sets is not known")
            return
        for words in ShellText(text, self.variables).commands():
            self._assign(words)

    def _assign(self, words: list[str]) -> None:
        if words[1:2] == ["="]:  # NAME = value, as settings files may have it
            words = [f"{words[0]}={' '.join(words[2:])}"]
        for word in words[1:] if words[:1] in (["export"], ["env"]) else words:
            match = ASSIGNMENT.match(word)
            if match is None:
                return
            self.variables[match[1]] = word[match.end() :]
            self.hits += match[1] in BY_VARIABLE or match[1] in variables()

    def _start(self, before: Sequence[str], words: Sequence[str]) -> None:
        self._assign([word for word in before if ASSIGNMENT.match(word)])
        place = next(index for index, word in enumerate(words) if _MINER.fullmatch(word))
        flags = words[place + 1 :]
        if "--" in flags:
            flags = flags[flags.index("--") + 1 :]
        elif "pm2" in before and "--" not in before and place == 0:
            flags = []  # they are pm2's own
        self.starts = True
        self.hits += 1
        self.flags += flags


def read_official(given: Iterable[str]) -> Official:
    """Read files, folders and commands; OperatorError when one is none of these or says nothing about a miner."""
    found = Official()
    for text in given:
        before = found.hits
        for content, folder in _contents(text):
            found.read(content, folder)
        if found.hits == before:
            raise OperatorError(
                f"{_shown(text)} is neither a settings file nor a script or command that starts a miner: "
                "give --from a miner.env, a start_miner.sh, or the command in quotes"
            )
    return found


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _contents(given: str) -> list[tuple[str, Path]]:
    """The texts that an argument means, each with the folder that its relative paths start in."""
    path = Path(given).expanduser()
    try:
        if path.is_dir():
            here = [path / name for name in FILES if (path / name).is_file()]
            if not here:
                raise OperatorError(f"there is neither {' nor '.join(FILES)} in {path}: name the file itself")
            return [(_text_of(file), path) for file in here]
        if path.exists():
            return [(_text_of(path), path.parent)]
    except (OSError, ValueError):  # a command is no possible path
        pass
    if " " in given.strip():
        return [(given, Path.cwd())]
    raise OperatorError(f"there is no file {given}: name a miner.env or start_miner.sh, or give the command in quotes")


def _text_of(file: Path) -> str:
    """A small text file; OperatorError for anything else."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise OperatorError(f"{file} is no file: name a miner.env or start_miner.sh")
        with file.open("rb") as stream:
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST or b"\0" in content:
            raise OperatorError(f"{file} is no text file of a reasonable size: name a miner.env or start_miner.sh")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {file}: {reason(error)}") from error


def translated(found: Official) -> tuple[dict[str, str], list[str]]:
    """Texts of our settings by name, flags winning over variables, and a sentence for all that is not the same."""
    own = {name: text for name, text in found.variables.items() if not name.endswith("_FILE")}
    source = read_variables(own, "the official settings")
    words, lacking = _with_values(found.flags)
    flags, _, unknown = read_flags(words)
    notes = [*found.notes, *(f"{flag} has no value there; it is left out" for flag in lacking)]
    notes += [*source.warnings, *source.refusals, *flags.warnings, *flags.refusals]
    notes += [one.sentence for one in unknown_names(found.variables, "the official settings") if one.whom]
    notes += [clause for clause in unknown if "is no flag" in clause]
    notes += _permit_notes(found, flags)
    said = source.texts | flags.texts
    return {name: one.text for name, one in said.items() if _is_valid(name, one, notes)}, notes


def _is_valid(name: str, one: NamedText, notes: list[str]) -> bool:
    if "$(" in one.text or "`" in one.text:
        notes.append(f"{one.label}: only a shell could know the value; it is left out")
        return False
    try:
        setting(name).read(one.text, one.label)
    except ConfigError as error:
        notes.append(f"{error}; it is left out")
        return False
    return True


def _permit_notes(found: Official, flags: Source) -> list[str]:
    """In the official miner the bare flag switches the demand for a permit on, and its absence means none."""
    if not found.starts:
        return []
    said = flags.texts.get("blacklist.force_validator_permit")
    if said is None:
        return [NO_PERMIT]
    return [PERMIT_FALSE] if said.text.lower() in {"false", "0", "no", "off"} else []


def _with_values(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words without flags that lack their value, and those: in a script it came from a variable that is not set."""
    wanting = {item.flag for item in SETTINGS if not item.is_switch}
    wanting |= {flag for flag, entry in BY_FLAG.items() if entry.wants_value}
    kept, lacking = [], []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if spelt(word) in wanting and (not following or following.startswith("--")):
            lacking.append(word)
        elif word:
            kept.append(word)
    return kept, lacking
