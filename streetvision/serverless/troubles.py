"""Modal's errors as ours: which trouble they are for a request, and one sentence for an operator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from streetvision.engine.transport import RemoteFailure, RemoteTrouble
from streetvision.errors import OperatorError, reason

MISSING = "Modal is not installed: pip install 'streetvision[modal]'"
PINNED = "1.6"
"""The releases of Modal that this was written against; its names change between minor ones."""
TROUBLES: Mapping[str, RemoteTrouble] = {
    "AuthError": RemoteTrouble.REFUSED,
    "PermissionDeniedError": RemoteTrouble.REFUSED,
    "NotFoundError": RemoteTrouble.UNREACHABLE,
    "ResourceExhaustedError": RemoteTrouble.QUOTA,
    "VersionError": RemoteTrouble.SKEW,
    "UnimplementedError": RemoteTrouble.SKEW,
    "DeserializationError": RemoteTrouble.SKEW,
    "SerializationError": RemoteTrouble.SKEW,
    "TimeoutError": RemoteTrouble.LATE,
    "FunctionTimeoutError": RemoteTrouble.LATE,
    "ConnectionError": RemoteTrouble.UNREACHABLE,
    "ServiceError": RemoteTrouble.UNREACHABLE,
    "InternalError": RemoteTrouble.UNREACHABLE,
    "ClientClosed": RemoteTrouble.UNREACHABLE,
}
"""By the name of the error's class or of one that it derives from; anything else is FAILED."""
REMEDIES: Mapping[RemoteTrouble, str] = {
    RemoteTrouble.REFUSED: "run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET",
    RemoteTrouble.UNREACHABLE: "check the network, and that the app is deployed: streetvision modal deploy",
    RemoteTrouble.QUOTA: "raise the limit in Modal's settings, or wait until it is renewed",
    RemoteTrouble.SKEW: "bring Modal to release 1.6 and deploy again: streetvision modal deploy",
    RemoteTrouble.LATE: "try again, and look at the app's page at Modal",
    RemoteTrouble.NO_MEMORY: "name a larger card: --modal.card",
    RemoteTrouble.FAILED: "look at the app's page at Modal",
}
_MONEY = re.compile(r"spend(?:ing)? limit|budget|payment|billing", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|\boom\b|exit code:? 137", re.IGNORECASE)
_SECRET = re.compile(r"\b(?:ak|as)-[A-Za-z0-9]{6,}")
_LONGEST = 300


def failure_of(error: Exception) -> RemoteFailure:
    """What a failed call to Modal means for a request."""
    return RemoteFailure(trouble_of(error), _clause(error))


def trouble_of(error: Exception) -> RemoteTrouble:
    """By the error's class, and for limits of money and memory by its words."""
    words = str(error)
    if _MONEY.search(words):
        return RemoteTrouble.QUOTA
    if _MEMORY.search(words):
        return RemoteTrouble.NO_MEMORY
    if isinstance(error, ImportError):
        return RemoteTrouble.MISSING
    found = (TROUBLES.get(kind.__name__) for kind in type(error).__mro__)
    return next((trouble for trouble in found if trouble is not None), RemoteTrouble.FAILED)


@contextmanager
def modal_sentences(doing: str) -> Iterator[None]:
    """Turn a failure of Modal into one sentence with a remedy, such as `deploying the app: ...`."""
    try:
        yield
    except OperatorError:
        raise
    except Exception as error:
        if not _is_modals(error):
            raise
        trouble = trouble_of(error)
        remedy = REMEDIES.get(trouble, REMEDIES[RemoteTrouble.FAILED])
        raise OperatorError(f"{doing} failed ({_clause(error)}): {remedy}") from error


def require_modal() -> None:
    """Raises OperatorError without the extra, or with a release of Modal that was not tried."""
    if find_spec("modal") is None:
        raise OperatorError(MISSING)
    if other := other_release():
        raise OperatorError(
            f"Modal {other} is installed, and this release knows {PINNED}: install the extra `modal` again"
        )


def other_release() -> str:
    """The installed release of Modal where it is not the pinned one; empty where it is."""
    from importlib.metadata import version

    found = version("modal")
    return "" if found.startswith(f"{PINNED}.") else found


def _is_modals(error: Exception) -> bool:
    return any(kind.__module__.partition(".")[0] in ("modal", "grpclib") for kind in type(error).__mro__) or isinstance(
        error, OSError
    )


def _clause(error: Exception) -> str:
    """Its first sentence, without what looks like a token."""
    return _SECRET.sub("(a token)", reason(error).partition(". ")[0])[:_LONGEST].rstrip(".")
