"""Errors an operator can act on, and the exit codes that tell how a process ended."""

from __future__ import annotations

EXIT_FAILED = 1
"""It could not start or do what was asked: one sentence says why."""
EXIT_UNCLEAN = 70
"""A defect ended it, or a part of it could not be closed in order (EX_SOFTWARE of sysexits.h)."""
EXIT_STOPPED = 130
"""Ctrl-C ended it, as shells have it."""
EXIT_RESTART = 75
"""It can serve no more, and another process may: the service manager is to start it again (EX_TEMPFAIL)."""


class OperatorError(Exception):
    """A failure whose message is one sentence that says what is wrong and what to do; never shown with a traceback."""

    exit_code = EXIT_FAILED


class RestartNeeded(OperatorError):
    """This process can serve no more, as when its device is lost; another one may."""

    exit_code = EXIT_RESTART


class ConfigError(OperatorError):
    """A setting is missing, malformed or contradicts another."""


def about(error: OSError) -> str:
    """A failure of the system that nobody foresaw, as a clause with the file or folder it is about."""
    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)


def reason(error: BaseException) -> str:
    """Why something failed, as a clause: the system's words without error number and path, which the sentence names."""
    if isinstance(error, UnicodeError):
        return "it is not a text file"
    if isinstance(error, OSError) and error.strerror:
        words = error.strerror
        return words[:1].lower() + words[1:] if words[1:2].islower() else words
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
