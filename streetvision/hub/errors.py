"""What goes wrong between here and the hub, each as one sentence that says what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its __all__ is computed

from streetvision.errors import OperatorError, reason

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
RETRIED_STATUS = (408, 429, 500, 502, 503, 504)
RETRIED: tuple[type[Exception], ...] = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)

_LOGIN = tuple(getattr(errors, name) for name in ("OIDCError", "DeviceCodeError") if hasattr(errors, name))
"""What finding a token may raise; which of them there are depends on huggingface_hub's version."""
_ODD_ANSWER: tuple[type[BaseException], ...] = (ValueError, LookupError, TypeError, AttributeError, httpx.InvalidURL)
"""What huggingface_hub raises when something else than a hub answers it."""
_CAUGHT: tuple[type[BaseException], ...] = (httpx.HTTPError, OSError, RuntimeError, *_ODD_ANSWER, *_LOGIN)

_Cases = tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]
"""Kinds of errors and their sentences; the first that fits is taken."""

_RESET = re.compile(r"(?:^|;)\s*t=(\d{1,6})")


@contextmanager
def sentences(subject: str) -> Iterator[None]:
    """Turn what huggingface_hub and the network raise into OperatorError; `subject` such as owner/name@v1.0.0."""
    try:
        yield
    except OperatorError:
        raise
    except _CAUGHT as error:
        raise OperatorError(_sentence(_root(error), subject)) from error


def is_transient(error: Exception) -> bool:
    """Whether trying again soon may help."""
    status = status_of(error)
    return status in RETRIED_STATUS if status is not None else isinstance(error, RETRIED)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that the hub answered with; None when it did not answer."""
    return error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None


def is_missing(error: OperatorError) -> bool:
    """Whether the hub said that there is no such repository or revision; strangers are told so of private ones too."""
    cause = error.__cause__
    if isinstance(cause, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return not isinstance(cause, errors.GatedRepoError)
    return isinstance(cause, errors.HfHubHTTPError) and _is_hidden(cause)


def is_absent(error: OperatorError) -> bool:
    """As `is_missing`, or the file is missing, or this token may not see it."""
    cause = error.__cause__
    if isinstance(cause, errors.GatedRepoError | errors.DisabledRepoError | errors.EntryNotFoundError):
        return True
    return is_missing(error) or (cause is not None and status_of(cause) in (403, 404))


def _is_hidden(error: errors.HfHubHTTPError) -> bool:
    """A stranger who asks for what is not there is told to log in."""
    return error.response.status_code == 401 and "authorization" not in error.response.request.headers


def wait_asked(error: Exception) -> float | None:
    """Seconds after which the hub wants to be asked again, where it said so."""
    if not isinstance(error, errors.HfHubHTTPError):
        return None
    headers = error.response.headers
    if headers.get("retry-after", "").isdigit():
        return float(headers["retry-after"])
    reset = _RESET.search(headers.get("ratelimit", ""))
    return float(reset[1]) if reset and status_of(error) == 429 else None


def _root(error: BaseException) -> BaseException:
    """An upload wraps its failure in a RuntimeError, and a missing file in the cache stands for a failed request."""
    while isinstance(error, RuntimeError | errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _sentence(error: BaseException, subject: str) -> str:
    reason = clean(error)
    cases: _Cases = (
        (
            errors.OfflineModeIsEnabled,
            f"{subject} cannot be reached: HF_HUB_OFFLINE is set; unset it for this command.",
        ),
        (_LOGIN, f"The Hugging Face login does not work ({reason}): {LOGIN}."),
        (errors.LocalTokenNotFoundError, f"{subject} needs a Hugging Face token: {LOGIN}."),
        (
            httpx.TimeoutException,
            f"{_hub()} did not answer in time about {subject}: check the network and run this again.",
        ),
        (
            httpx.HTTPError,
            f"{_hub()} cannot be reached for {subject} ({reason}): check the network and HF_ENDPOINT.",
        ),
        (
            _ODD_ANSWER,
            f"{_hub()} gave no sensible answer about {subject} ({reason}): check HF_ENDPOINT.",
        ),
    )
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, subject)
    found = next((text for kind, text in cases if isinstance(error, kind)), None)
    if found is None and isinstance(error, OSError) and error.errno is not None:
        found = _disk(error, subject)
    return found or f"The transfer of {subject} failed ({reason}): run this again."


def _refused(error: errors.HfHubHTTPError, subject: str) -> str:
    cases: _Cases = (
        (errors.GatedRepoError, f"{subject} is gated: accept its terms on its page, then {LOGIN}."),
        (errors.DisabledRepoError, f"{subject} was disabled on the hub: use another repository."),
        (
            errors.RepositoryNotFoundError,
            f"{subject} does not exist or is private: check the name; if it is private, {LOGIN}.",
        ),
        (
            errors.RevisionNotFoundError,
            f"{subject} does not exist: the repository has no such tag, branch or commit.",
        ),
        (errors.EntryNotFoundError, f"{subject} lacks a file that it listed: name a tag or a commit."),
    )
    found = next((text for kind, text in cases if isinstance(error, kind)), None)
    found = cases[2][1] if found is None and _is_hidden(error) else found
    return found or _by_status(error.response.status_code, error, subject)


def _by_status(status: int, error: errors.HfHubHTTPError, subject: str) -> str:
    said = clean(error.server_message)
    if status >= 500:
        return f"{_hub()} has a problem of its own (HTTP {status}) with {subject}: run this again later."
    if status == 429:
        wait = wait_asked(error)
        when = f"in {wait:.0f} s" if wait else "in a few minutes"
        return f"{_hub()} limits how often it is asked: run this again {when}; a token raises the limit."
    return {
        401: f"{_hub()} does not accept the token for {subject}: {LOGIN} to a valid one ({TOKENS_PAGE}).",
        402: f"{_hub()} wants a payment for {subject} ({said}): see the account's billing.",
        403: f"The token may not do this with {subject}: make one with write access to it at {TOKENS_PAGE}.",
        404: f"{subject} was not found on {_hub()}: check the name and HF_ENDPOINT.",
        412: f"{subject} was changed by somebody else meanwhile: look at it, then run this again.",
    }.get(status, f"{_hub()} refuses {subject} (HTTP {status}: {said}).")


def _disk(error: OSError, subject: str) -> str:
    if error.errno in FULL_DISK:
        return f"{subject} does not fit on the disk: free some space and run this again, it goes on where it stopped."
    where = f" ({error.filename})" if error.filename else ""
    return f"{subject} cannot be stored or read: {reason(error) if error.strerror else clean(error)}{where}."


def clean(text: object) -> str:
    """A foreign message as one short printable line, without the token, should a server echo it."""
    line = " ".join(str(text or "no reason given").split())
    token = os.environ.get("HF_TOKEN", "").strip()
    line = re.sub(r"hf_[A-Za-z0-9]{8,}", "hf_***", line.replace(token, "***") if token else line)
    return "".join(letter for letter in line if letter.isprintable())[:200]


def _hub() -> str:
    return constants.ENDPOINT.removeprefix("https://")
