"""Processes that work for this one: they leave its main module alone, end with it, and are missed when they die.

They are forked by a server that has imported little: a process with threads, or with CUDA, cannot be forked itself.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType
from typing import Any, TypeVar

from streetvision.base.allocator import keep_freed_pages
from streetvision.errors import OperatorError

Task = TypeVar("Task")
Result = TypeVar("Result")

LOST = (
    "a process that worked on this was ended, as the system does when memory runs out: run it again, with more memory "
    "or on fewer cores"
)


class WorkerLost(OperatorError):
    """A process died before its work was done."""

    def __init__(self) -> None:
        super().__init__(LOST)


class _Process(ForkServerProcess):
    """Leaves the program's main module alone, which multiprocessing would run once more in each process.

    A program that does not guard its main part would begin a second time there.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: ANN401, N802  # multiprocessing's own
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return ForkServerProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class WorkerContext(ForkServerContext):
    """Makes such processes, and what they share."""

    Process = _Process


def worker_context(preload: Sequence[str] = ()) -> WorkerContext:
    """`preload` names modules that the server imports once for all processes, where it has not started yet."""
    context = WorkerContext()
    context.set_forkserver_preload(list(preload))
    return context


def process_pool(
    workers: int,
    *,
    begin: Callable[..., None] | None = None,
    arguments: Sequence[Any] = (),
    context: ForkServerContext | None = None,
) -> ProcessPoolExecutor:
    """A pool whose processes first call `begin`; whoever uses it hears of a dead one by BrokenProcessPool."""
    made = context or worker_context()
    return ProcessPoolExecutor(workers, made, initializer=_begin, initargs=(begin, tuple(arguments)))


def map_on_cores(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int, *, chunk: int = 4
) -> Iterator[Result]:
    """Results of `work` in the tasks' order, from `workers` processes; with one worker in this process.

    `chunk` tasks are handed over at a time. Raises WorkerLost.
    """
    if workers <= 1:
        yield from map(work, tasks)
        return
    pool = process_pool(workers, context=_context_for(work))
    try:
        yield from pool.map(work, tasks, chunksize=chunk)
    except BrokenProcessPool as error:
        raise WorkerLost from error
    finally:
        pool.shutdown(cancel_futures=True)


def begin_worker() -> None:
    """In a process that works for another: Ctrl-C is that one's to heed, and this one ends when that one is gone.

    Pages that it frees are kept for what it makes next.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_pages()


def _context_for(work: Callable[..., Any]) -> ForkServerContext:
    """A script's own function needs the script: its processes run the main module, as multiprocessing has it."""
    return ForkServerContext() if b"__main__" in pickle.dumps(work) else worker_context()


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    begin_worker()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
