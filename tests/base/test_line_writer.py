"""Log lines while nobody reads: the event loop goes on, what is lost is counted and said, the end is not held up."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import re
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streetvision.base.line_writer import LineWriter, say_at_once, stop_blocking, writing_to

LINES = 10_000
LINE = "{:06} " + "x" * 60 + "\n"


def notice(lines: int) -> str:
    return f"{lines} lines were dropped\n"


@pytest.fixture
def ends() -> Iterator[Callable[[Callable[[], tuple[int, int]]], tuple[int, int]]]:
    """Opens a pair of descriptors (read, write) that is closed at the end."""
    with ExitStack() as closing:

        def opened(make: Callable[[], tuple[int, int]]) -> tuple[int, int]:
            pair = make()
            for descriptor in pair:
                closing.callback(os.close, descriptor)
            return pair

        yield opened


async def ticks_while(work: Callable[[int], None]) -> int:
    """How often the loop came round while it did LINES pieces of work; each may cost it next to nothing."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    for number in range(LINES):
        work(number)
        if number % 50 == 0:
            await asyncio.sleep(0)
    ticking.cancel()
    return ticks


def reading(descriptor: int, until: int) -> tuple[threading.Thread, list[bytes]]:
    """Reads in a thread until the lines that were there and those said to be missing are `until`."""
    found: list[bytes] = []

    def read() -> None:
        while accounted(b"".join(found).decode()) < until:
            found.append(os.read(descriptor, 65536))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, found


def accounted(text: str) -> int:
    dropped = sum(int(n) for n in re.findall(r"^(\d+) lines were dropped\r?$", text, re.MULTILINE))
    return dropped + len(re.findall(r"^\d{6} x{60}\r?$", text, re.MULTILINE))


def stopped_terminal() -> tuple[int, int]:
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)  # as Ctrl-S does
    return master, slave


def service_manager() -> tuple[int, int]:
    """A socket, as pm2 and journald give."""
    theirs, ours = socket.socketpair()
    return theirs.detach(), ours.detach()


@pytest.mark.parametrize("make", [os.pipe, stopped_terminal, service_manager])
@pytest.mark.parametrize("blocking", [True, False])
async def test_nobody_reads(
    ends: Callable[..., tuple[int, int]], make: Callable[[], tuple[int, int]], blocking: bool
) -> None:
    read, write = ends(make)
    if not blocking:
        stop_blocking(write)
    writer = LineWriter(writing_to(write), notice, max_characters=20_000)
    ticks = await asyncio.wait_for(ticks_while(lambda n: writer.put(LINE.format(n))), 20)
    assert ticks >= LINES // 50
    assert 0 < writer.dropped < LINES
    thread, found = reading(read, LINES)
    if make is stopped_terminal:
        termios.tcflow(write, termios.TCOON)
    await asyncio.to_thread(thread.join, 20)
    text = b"".join(found).decode().replace("\r\n", "\n")
    assert accounted(text) == LINES
    numbers = [int(number) for number in re.findall(r"^(\d{6}) x", text, re.MULTILINE)]
    assert numbers == sorted(numbers)
    assert text.splitlines()[-1].endswith("lines were dropped")
    writer.put(LINE.format(LINES))
    assert os.read(read, 100).decode().rstrip() == LINE.format(LINES).rstrip()
    assert writer.close(5.0)


def test_the_end_does_not_wait_for_a_reader(ends: Callable[..., tuple[int, int]]) -> None:
    _, write = ends(os.pipe)
    writer = LineWriter(writing_to(write), notice)
    for number in range(LINES):
        writer.put(LINE.format(number))
    assert not writer.flush(0.01)
    assert not writer.close(0.05)


def test_a_closed_pipe_costs_lines_and_nothing_else() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = LineWriter(writing_to(write), notice, retry_s=0.001)
    for number in range(100):
        writer.put(LINE.format(number))
    wait_until(lambda: writer.dropped == 100)
    time.sleep(0.02)
    assert writer.dropped == 100  # the notice that cannot be written either is no line
    assert writer.close(5.0)
    os.close(write)


class Disk:
    """Takes `room` bytes and is full, until there is more."""

    def __init__(self, room: int) -> None:
        self.room, self.content = room, b""

    def write(self, data: bytes) -> int:
        taken = min(self.room, len(data), 7)  # and never much at once
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        self.content += data[:taken]
        return taken


def test_a_disk_that_was_full_goes_on_with_a_whole_line() -> None:
    disk = Disk(15)
    writer = LineWriter(disk.write, notice, retry_s=0.001)
    for word in ("first line", "second line", "third line"):
        writer.put(f"{word}\n")
    wait_until(lambda: writer.dropped == 2)
    disk.room = 1000
    assert writer.flush(5.0)
    writer.put("fourth line\n")
    assert writer.close(5.0)
    assert disk.content.decode().splitlines() == ["first line", "seco", "2 lines were dropped", "fourth line"]


def test_the_shells_own_descriptor_keeps_its_mode(ends: Callable[..., tuple[int, int]]) -> None:
    _, ours = ends(os.pipe)
    shell = os.dup(ours)
    stop_blocking(ours)
    assert (os.get_blocking(shell), os.get_blocking(ours)) == (True, False)
    os.close(shell)


def test_a_signal_handlers_line_does_not_wait(ends: Callable[..., tuple[int, int]]) -> None:
    read, write = ends(os.pipe)
    say_at_once(write, "stopped\n")
    assert os.read(read, 100) == b"stopped\n"
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, b"x" * 4096)
    say_at_once(write, "stopped\n")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


NOISY = """
import asyncio, logging, os, sys, warnings
from loguru import logger
from streetvision.base.logs import configure_logging, lines_dropped, take_over_streams

async def main():
    loop, late = asyncio.get_running_loop(), logging.getLogger("late")
    late.addHandler(logging.StreamHandler())
    before = loop.time()
    for number in range(3000):
        logger.info("number {} {}", number, "x" * 300)
        print("printed", number, "y" * 300)
        print("printed aside", number, "y" * 300, file=sys.stderr)
        warnings.warn(f"warned {number}")
        late.warning("late %d", number)
        await asyncio.sleep(0)
    try:
        os.write(2, b"z" * 65536 * 4)  # as a library in C would
    except BlockingIOError:
        pass
    os.write(int(sys.argv[1]), f"{lines_dropped()}".encode())

configure_logging(as_json=True)
take_over_streams(as_json=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("stream", ["pipe", "terminal"])
def test_a_process_whose_output_nobody_reads_runs_and_ends(stream: str, tmp_path: Path) -> None:
    read, write = os.pipe() if stream == "pipe" else stopped_terminal()
    answer, report = os.pipe()
    command = [sys.executable, "-W", "always", "-c", NOISY, str(report)]
    with subprocess.Popen(command, stdout=write, stderr=write, pass_fds=[report], cwd=tmp_path) as process:
        os.close(report)
        assert process.wait(30) == 0
    assert int(os.read(answer, 100)) > 0
    for descriptor in (read, write, answer):
        os.close(descriptor)


def test_what_is_printed_becomes_lines_of_the_log(tmp_path: Path) -> None:
    script = (
        "import sys, warnings\nfrom streetvision.base.logs import configure_logging, take_over_streams\n"
        "configure_logging(as_json=True)\ntake_over_streams(as_json=True)\n"
        "print('hello')\nwarnings.warn('careful')\nsys.stderr.write('10 %\\r20 %\\r')\nsys.stderr.write('done\\n')\n"
        "raise ValueError('the end')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    for word in ('"message": "hello"', "UserWarning: careful", '"message": "done"', "ValueError: the end"):
        assert word in done.stderr
    assert all(line.startswith("{") for line in done.stderr.splitlines())
    assert "10 %" not in done.stderr
