"""Every check ends in time: a hanging driver, disk or node is itself a finding."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streetvision.doctor.check import Check, failure
from streetvision.errors import OperatorError

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work on a thread that the end of the process does not wait for, unlike `asyncio.to_thread`'s."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None is T's own here

    def run() -> None:
        result: T | None = None
        failed: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to the caller as it is
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    return await done


async def bounded(name: str, seconds: float, work: Awaitable[Check]) -> Check:
    """The check, or a failure that says what stopped it: time, an operator's error, or a defect of the check itself."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return failure(
            name, f"no result within {seconds:g} s", f"Find out what hangs; the other checks may say ({name})."
        )
    except OperatorError as error:
        return from_error(name, error)
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        kind = type(error).__name__
        return failure(name, f"the check itself broke ({kind}: {error})", "Please report this; the other checks stand.")


def from_error(name: str, error: OperatorError) -> Check:
    """An operator's error reads `what is wrong: what to do`."""
    wrong, remedy = parted(str(error))
    return failure(name, wrong, _sentence(remedy or "The sentence above says what to do."))


def parted(sentence: str) -> tuple[str, str]:
    """The fault and the remedy: the parts before and after the first colon that is in no parentheses."""
    depth = 0
    for place, letter in enumerate(sentence):
        depth += (letter == "(") - (letter == ")")
        if depth <= 0 and sentence.startswith(": ", place):
            return sentence[:place], sentence[place + 2 :]
    return sentence, ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
