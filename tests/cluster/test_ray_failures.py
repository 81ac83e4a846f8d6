"""Ray's errors as an operator reads them. The errors are ours, named and worded as Ray's are."""

from __future__ import annotations

import pytest

from streetvision.cluster.ray_failures import failure_of
from streetvision.cluster.remedies import REMEDIES, remedy_of
from streetvision.engine.transport import RemoteTrouble


def named(name: str, words: str) -> Exception:
    error: Exception = type(name, (Exception,), {})(words)
    return error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ConnectionError("nothing listens at 10.0.0.5:6379"), RemoteTrouble.UNREACHABLE),
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11"),
            RemoteTrouble.SKEW,
        ),
        (named("OutOfMemoryError", "Task was killed"), RemoteTrouble.NO_MEMORY),
        (named("ActorDiedError", "The actor died: the node was running out of memory"), RemoteTrouble.NO_MEMORY),
        (named("ActorDiedError", "The actor died unexpectedly before finishing this task."), RemoteTrouble.FAILED),
        (named("BackPressureError", "64 requests are waiting"), RemoteTrouble.OVERLOADED),
        (named("AuthenticationError", "InvalidAuthToken"), RemoteTrouble.REFUSED),
        (named("RayServeException", "Application 'streetvision' does not exist."), RemoteTrouble.UNKNOWN_VERSION),
        (ValueError(""), RemoteTrouble.FAILED),
    ],
)
def test_each_error_has_its_trouble(error: Exception, trouble: RemoteTrouble) -> None:
    failure = failure_of(error)
    assert failure.trouble is trouble
    assert str(failure)
    assert "\n" not in str(failure)


def test_what_lies_below_counts() -> None:
    error = RuntimeError("Failed to connect to GCS")
    error.__cause__ = named("AuthenticationError", "InvalidAuthToken: token is missing")
    assert failure_of(error).trouble is RemoteTrouble.REFUSED


def test_the_common_troubles_have_a_remedy_of_their_own() -> None:
    assert {RemoteTrouble.MISSING, RemoteTrouble.UNREACHABLE, RemoteTrouble.SKEW} <= set(REMEDIES)
    assert "ray/head.log" in remedy_of(RemoteTrouble.FAILED)
