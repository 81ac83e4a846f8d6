"""The words of a shell script, as far as they are known without running it: quotes, comments, variables, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

LONGEST_VALUE = 1024
"""Characters that a variable stands for at most: values made of values would double with every line."""

_NAME = re.compile(r"\$(?:(\w{1,100})|\{(\w{1,100})(?::?[-=]([^}\n$\"'`]{0,200}))?\})", re.ASCII)
_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff]")
"""What a page may bring along when text is copied from it."""
_ENDS = frozenset(";&|\n")
_REDIRECTS = frozenset("<>")
_REDIRECTION = re.compile(r"(\d*|&)[<>]+(&\d|[ \t]*[^\s;|&]*)", re.ASCII)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=", re.ASCII)
_UNKNOWN = re.compile(rf"((?:{ASSIGNMENT.pattern})?)\$\{{\w+\}}", re.ASCII)
"""A word that is nothing but a variable that nothing sets, or gives that to another one."""


class ShellText:
    """Reads a text command by command; a variable stands for what `values` says when its command is reached."""

    def __init__(self, text: str, values: Mapping[str, str]) -> None:
        self._text = _INVISIBLE.sub("", text).replace("\r\n", "\n")
        self._values = values
        self._at = 0

    def commands(self) -> Iterator[list[str]]:
        """The words of each command. `$(...)` and the like stay as they are written, and so does an unknown variable
        within a word, as `${NAME}`; alone it is empty.
        """
        words: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in _ENDS and not self._text.startswith("&>", self._at):
                self._at += 1
                if words:
                    yield words
                words = []
            elif char.isspace():
                self._at += 1
            elif self._goes_on():
                self._at += 2
            elif char == "#":
                self._skip_comment()
            else:
                words += self._word()
        if words:
            yield words

    def _goes_on(self) -> bool:
        """Whether the line goes on in the next one here."""
        return self._text.startswith("\\\n", self._at)

    def _skip_comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _word(self) -> list[str]:
        """The word here; an unquoted variable that holds several words gives several, a redirection none."""
        if redirection := _REDIRECTION.match(self._text, self._at):
            self._at = redirection.end()
            return []
        parts, spread = "", False
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() or char in _ENDS or char in _REDIRECTS or self._goes_on():
                break
            if char in "'\"":
                parts += self._quoted(char, parts)
            elif char == "\\":
                parts += self._text[self._at + 1 : self._at + 2]
                self._at += 2
            elif char == "$" and self._text[self._at + 1 : self._at + 2] in ("'", '"'):
                self._at += 1  # $'...' and $"..." are quotes too
            elif char == "$":
                value = self._variable(parts)
                parts, spread = parts + value, spread or " " in value
            else:
                parts += char
                self._at += 1
        if unknown := _UNKNOWN.fullmatch(parts):
            return [unknown[1]]
        return parts.split() if spread and not ASSIGNMENT.match(parts) else [parts]

    def _quoted(self, quote: str, before: str) -> str:
        self._at += 1
        parts = ""
        while self._at < len(self._text) and self._text[self._at] != quote:
            char = self._text[self._at]
            if self._goes_on() and quote == '"':
                self._at += 2
            elif char == "\\" and quote == '"':
                parts += self._text[self._at + 1 : self._at + 2]
                self._at += 2
            elif char == "$" and quote == '"':
                parts += self._variable(before + parts)
            else:
                parts += char
                self._at += 1
        self._at += 1
        return parts

    def _variable(self, before: str) -> str:
        """What stands for the variable here; nothing more once the word is as long as a value may be."""
        match = _NAME.match(self._text, self._at)
        if match is None:
            self._at += 1
            return "$"
        self._at = match.end()
        return self._value(match[1] or match[2], match[3])[: max(0, LONGEST_VALUE - len(before))]

    def _value(self, name: str, default: str | None) -> str:
        value = self._values.get(name, "~" if name == "HOME" else None)
        if value is None and default is None:
            return f"${{{name}}}"
        return value or default or ""
