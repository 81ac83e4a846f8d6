"""What Ray's errors mean for whoever waits for an answer, by their names and words: nothing of Ray is imported."""

from __future__ import annotations

from collections.abc import Iterator

from streetvision.engine.transport import RemoteFailure, RemoteTrouble

BY_NAME = {
    "OutOfMemoryError": RemoteTrouble.NO_MEMORY,
    "BackPressureError": RemoteTrouble.OVERLOADED,
    "ConnectionError": RemoteTrouble.UNREACHABLE,
    "RaySystemError": RemoteTrouble.UNREACHABLE,
    "GetTimeoutError": RemoteTrouble.LATE,
    "AuthenticationError": RemoteTrouble.REFUSED,
    "DeploymentUnavailableError": RemoteTrouble.FAILED,
}
BY_WORDS = (
    ("invalidauthtoken", RemoteTrouble.REFUSED),
    ("authentication", RemoteTrouble.REFUSED),
    ("unauthenticated", RemoteTrouble.REFUSED),
    ("version mismatch", RemoteTrouble.SKEW),
    ("running out of memory", RemoteTrouble.NO_MEMORY),
    ("out of memory", RemoteTrouble.NO_MEMORY),
    ("memory pressure", RemoteTrouble.NO_MEMORY),
    ("does not exist", RemoteTrouble.UNKNOWN_VERSION),
    ("could not find any running ray instance", RemoteTrouble.UNREACHABLE),
    ("failed to connect", RemoteTrouble.UNREACHABLE),
)
NOTHING_DEPLOYED = "no models are deployed there"


def failure_of(error: BaseException) -> RemoteFailure:
    """The failure that an error of Ray stands for; what is not known failed."""
    chain = list(_chain(error))
    text = " ".join(str(link) for link in chain).lower()
    trouble = next((trouble for words, trouble in BY_WORDS if words in text), None)
    names = (kind.__name__ for link in chain for kind in type(link).__mro__)
    trouble = trouble or next((BY_NAME[name] for name in names if name in BY_NAME), RemoteTrouble.FAILED)
    if trouble is RemoteTrouble.UNKNOWN_VERSION:
        return RemoteFailure(trouble, NOTHING_DEPLOYED)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return RemoteFailure(trouble, first.rstrip("."))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 8:
        yield error
        seen += 1
        error = error.__cause__ or error.__context__
