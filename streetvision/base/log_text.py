"""Texts that others wrote, made fit for a terminal and a log: what would steer or forge a line is written out."""

from __future__ import annotations

from collections.abc import Iterable

MAX_CHARACTERS = 32 * 1024
"""Of one text in the log; the middle of a longer one is left out."""
_CONTINUED = "\n    "
"""A line that a text breaks goes on indented, so that it cannot pass for the next record."""
_STEERING = (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Control characters, and what breaks lines or turns the direction of writing."""
_WRITTEN_OUT = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _STEERING if chr(code) not in "\n\t"
}


def escaped(text: str) -> str:
    """The text without a character that steers a terminal; its lines after the first are indented."""
    return text.translate(_WRITTEN_OUT).replace("\n", _CONTINUED)


def one_line(text: str) -> str:
    """The text without a character that steers a terminal or breaks a line: for names and words from outside."""
    return escaped(text.replace("\n", "\\n").replace("\t", "\\t"))


def joined(lines: Iterable[str]) -> str:
    """Lines of a report, each fit for a terminal."""
    return "\n".join(map(one_line, lines))


def bounded(text: str) -> str:
    """At most about MAX_CHARACTERS of it: its beginning and its end."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]} ... ({len(text) - 2 * half} characters left out) ... {text[-half:]}"
