"""What an official miner's settings file, start script or command says. It is read, never run."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streetvision.base.paths import current_folder, expanded
from streetvision.errors import ConfigError, OperatorError, reason
from streetvision.settings.fields import field_named, parse_setting, setting_fields, variables
from streetvision.settings.flags import is_switch, read_flags, spelt
from streetvision.settings.official import BY_FLAG, BY_VARIABLE, WHOM
from streetvision.settings.shell_text import ASSIGNMENT, LONGEST_VALUE, ShellText
from streetvision.settings.sources import NamedText, Source, read_variables, unknown_names

LONGEST = 1 << 16
"""Bytes of a file that is read; scripts and settings have a few thousand."""
FILES = ("miner.env", "start_miner.sh")
"""What is looked for in a folder."""
_MINER = re.compile(r"(.*/)?miner\.py|neurons\.miner")
_BEFORE = {"export", "env", "declare", "typeset", "readonly", "local", "set", "exec", "sudo",
           "if", "then", "else", "while", "until", "do", "{", "!"}  # fmt: skip
"""What may stand before an assignment or a command and changes neither."""
_MENTIONS = {"echo", "printf", "grep", "pgrep", "pkill", "kill", "ls", "cd", "cp", "mv", "rm", "chmod",
             "test", "[", "[["}  # fmt: skip
"""Commands that may name the miner's script and do not start it."""
_FILE_OF_A_UNIT = "EnvironmentFile="
_OF_A_UNIT = "Environment="
_ONLY_A_SHELL_KNOWS = re.compile(r"\$[({@*]|`")
_DEPTH = 3
"""How deep a command may stand in quotes within a command."""
_OTHER_FORMAT = re.compile(
    r"^\s*(module\.exports|export default|(services|apps|environment|env)\s*:)|\A\s*[{[]\s*[\"'{]", re.MULTILINE
)
"""JavaScript, YAML or JSON, as pm2, Compose and Kubernetes are told with."""
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
    starts: list[list[str]] = field(default_factory=list)
    """The flags of each such command."""
    hits: int = 0
    """Known variables and commands seen."""
    notes: list[str] = field(default_factory=list)

    def read(self, text: str, folder: Path, depth: int = 0) -> None:
        """Add what a script or a settings file says; files that it sources are looked for in `folder`."""
        for words in ShellText(text, self.variables).commands():
            self._command(words, folder, depth)

    def _command(self, words: list[str], folder: Path, depth: int) -> None:
        if len(words) >= 2 and words[0] in ("source", "."):
            self._source(folder / words[1], folder / Path(words[-1]).name)
        elif words[0].startswith(_FILE_OF_A_UNIT):
            file = Path(words[0].removeprefix(_FILE_OF_A_UNIT).lstrip("-"))
            self._source(folder / file, folder / file.name)
        elif (place := _place_of_miner(words)) is None:
            self._assign(words)
        elif " " not in words[place]:
            self._start(words[:place], words[place:])
        elif depth < _DEPTH:  # a quoted word is a command
            self._assign([word for word in words[:place] if ASSIGNMENT.match(word)])
            self.read(words[place], folder, depth + 1)

    def _source(self, file: Path, beside: Path) -> None:
        """Read what a script sources; where its folder is computed, the file of that name beside the script."""
        try:
            text = _text_of(beside if beside.exists() and not file.exists() else file)
        except OperatorError as error:
            self.notes.append(f"{error}; what it sets is not known")
            return
        for words in ShellText(text, self.variables).commands():
            self._assign(words)

    def _assign(self, words: Sequence[str]) -> None:
        words = _as_assignments(words)
        if words and words[0].startswith("--"):
            self.notes.append(f"{words[0]} stands outside the command that starts the miner; it is left out")
        for word in words:
            match = ASSIGNMENT.match(word)
            if match is None:
                return
            former = self.variables.get(match[1], "") if match[2] else ""
            self.variables[match[1]] = (former + word[match.end() :])[:LONGEST_VALUE]
            self.hits += _is_known(match[1])

    def _start(self, before: Sequence[str], words: Sequence[str]) -> None:
        self._assign([word for word in before if ASSIGNMENT.match(word)])
        place = next(index for index, word in enumerate(words) if _MINER.fullmatch(word))
        flags = list(words[place + 1 :])
        if "--" in flags:
            flags = flags[flags.index("--") + 1 :]
        elif "pm2" in before and "--" not in before and place == 0 and flags:
            self.notes.append("pm2 keeps the flags of a command that has no -- before them: they are left out")
            flags = []
        self.starts.append(flags)
        self.hits += 1
        self.flags += flags


def _place_of_miner(words: Sequence[str]) -> int | None:
    """Where a command names the miner's script, by itself or within a quoted word; None when it starts no miner."""
    head = next((word for word in words if word not in _BEFORE and not ASSIGNMENT.match(word)), "")
    if head in _MENTIONS:
        return None
    for place, word in enumerate(words):
        if (words[place - 1] == "-c" or not ASSIGNMENT.match(word)) and _names_miner(word):
            return place
    return None


def _names_miner(word: str) -> bool:
    return any(_MINER.fullmatch(part.strip("\"';")) for part in word.split())


def _as_assignments(words: Sequence[str]) -> list[str]:
    """The words without what stands before assignments; `NAME = value` and the like, as settings files have it, as one.

    A name that is no setting's may stand before a command, with an empty value.
    """
    words = [word.removeprefix(_OF_A_UNIT) for word in words]
    while words and (words[0] in _BEFORE or re.fullmatch(r"-\w+", words[0])):
        del words[0]
    name, _, rest = (words[0] if words else "").partition("=")
    if words[1:] and not rest and words[1].startswith("="):
        return [f"{name}={' '.join([words[1][1:], *words[2:]]).strip()}"]
    if words[1:] and words[0] == f"{name}=" and _is_known(name) and not ASSIGNMENT.match(words[1]):
        return [f"{name}={' '.join(words[1:])}"]
    return words


def _is_known(name: str) -> bool:
    return name in BY_VARIABLE or name in variables()


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
    if len({tuple(flags) for flags in found.starts if flags}) > 1:
        raise OperatorError("more than one command starts a miner there: give --from the one that you mean, in quotes")
    return found


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _contents(given: str) -> list[tuple[str, Path]]:
    """The texts that an argument means, each with the folder that its relative paths start in."""
    path = expanded(given)
    try:
        if path.is_dir():
            here = [path / name for name in FILES if (path / name).is_file()]
            if not here:
                raise OperatorError(f"there is neither {' nor '.join(FILES)} in {path}: name the file itself")
            return [(_text_of(file), path) for file in here]
        if path.exists():
            return [(_script_of(path), path.parent)]
    except (OSError, ValueError):  # a command is no possible path
        pass
    if " " in given.strip():
        return [(given, current_folder())]
    raise OperatorError(f"there is no file {given}: name a miner.env or start_miner.sh, or give the command in quotes")


def _script_of(file: Path) -> str:
    """A file's text; OperatorError where it has a form of which reading a part would mislead."""
    text = _text_of(file)
    if _OTHER_FORMAT.search(text):
        raise OperatorError(
            f"{file} is neither a settings file nor a script: give --from the command that it runs, in quotes, and "
            "a file with its variables as NAME=value lines"
        )
    return text


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
    """Texts of our settings by field, flags winning over variables, and a sentence for all that is not the same."""
    own = {name: text for name, text in found.variables.items() if not name.endswith("_FILE")}
    source = read_variables(own, "the official settings")
    words, lacking = _with_values(found.flags)
    flags, _, unknown = read_flags(words)
    notes = [*found.notes, *lacking]
    notes += [*source.warnings, *source.refusals, *flags.warnings, *flags.refusals]
    notes += [one.sentence for one in unknown_names(found.variables, "the official settings") if one.whom]
    notes += [clause for clause in unknown if "is no flag" in clause]
    notes += _permit_notes(found, flags)
    said = source.texts | flags.texts
    return {name: one.text for name, one in said.items() if _is_valid(name, one, notes)}, list(dict.fromkeys(notes))


def _is_valid(name: str, one: NamedText, notes: list[str]) -> bool:
    item = field_named(name)
    if _ONLY_A_SHELL_KNOWS.search(one.text):
        notes.append(f"{one.label}: only a shell could know the value; it is left out")
        return False
    if "%" in one.text and name in WHOM:
        notes.append(f"{one.label}: only the service manager could know the value; it is left out")
        return False
    if not one.text.isprintable():
        notes.append(f"{one.label}: the value holds control characters, or a quote is never closed; it is left out")
        return False
    try:
        parse_setting(item, one.text, one.label)
    except ConfigError as error:
        notes.append(f"{error}; it is left out")
        return False
    return True


def _permit_notes(found: Official, flags: Source) -> list[str]:
    """In the official miner the bare flag switches the demand for a permit on, and its absence means none."""
    if not found.starts:
        return []
    said = flags.texts.get("blacklist_force_validator_permit")
    if said is None:
        return [NO_PERMIT]
    return [PERMIT_FALSE] if said.text.lower() in {"false", "0", "no", "off"} else []


def _with_values(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that say something, and a sentence for each that does not: it came from a variable that is not set."""
    wanting = {item.metadata["flag"] for item in setting_fields() if not is_switch(item)}
    wanting |= {flag for flag, entry in BY_FLAG.items() if entry.wants_value}
    kept: list[str] = []
    lacking: list[str] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if spelt(word) in wanting and (not following or following.startswith("--")):
            lacking.append(f"{word} has no value there; it is left out")
        elif _ONLY_A_SHELL_KNOWS.match(word) and not (kept and spelt(kept[-1]) in wanting):
            lacking.append(f"only a shell could know what {word} stands for; it is left out")
        elif word:
            kept.append(word)
    return kept, lacking
