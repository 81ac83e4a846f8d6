"""Errors an operator can act on."""

from __future__ import annotations


class OperatorError(Exception):
    """A failure whose message is one sentence that says what is wrong and what to do; never shown with a traceback."""


class ConfigError(OperatorError):
    """A setting is missing, malformed or contradicts another."""


def reason(error: BaseException) -> str:
    """Why something failed, as a clause: the system's words without error number and path, which the sentence names."""
    if isinstance(error, UnicodeError):
        return "it is not a text file"
    if isinstance(error, OSError) and error.strerror:
        words = error.strerror
        return words[:1].lower() + words[1:] if words[1:2].islower() else words
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
