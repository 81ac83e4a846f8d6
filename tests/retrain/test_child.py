"""The child process: what it tells, how it ends, and that nothing of it is left; jobs are made up for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.retrain.child import Bounds, JobStopped, run_job, session_memory

WORKER = """
import importlib, json, sys, types
from streetvision.retrain import worker
{change}
def run(request, tell, stop):
{body}
sys.modules["streetvision.retrain.jobs.made_up"] = types.SimpleNamespace(run=run)
worker.JOBS = ("made_up",)
sys.exit(worker.main("made_up", int(sys.argv[-1])))
"""
ROOMY = Bounds(memory_gib=8.0, nice=0)
WAIT = """
    import time
    tell({"event": "ready", "pid": __import__("os").getpid()})
    while not stop():
        time.sleep(0.02)
    from streetvision.retrain.child import JobStopped
    raise JobStopped
"""


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a job whose body is given, as run_job would run one of its own."""

    def call(body: str, *, change: str = "", bounds: Bounds = ROOMY, **more: Any) -> dict[str, Any]:
        script = tmp_path / "worker.py"
        script.write_text(WORKER.format(change=change, body=body))
        real = subprocess.Popen

        def started(command: list[str], **how: Any) -> Any:
            at = command.index(sys.executable)
            return real([*command[: at + 1], str(script), command[-1]], **how)

        monkeypatch.setattr(subprocess, "Popen", started)
        return run_job("made_up", {"folder": str(tmp_path)} | more.pop("request", {}), bounds, **more)

    return call


def wait_for_the_end(pid: int) -> None:
    """Until the process is gone, or waits for nobody but its parent to look."""
    until = time.monotonic() + 10
    with contextlib.suppress(FileNotFoundError):
        while ") Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_job_tells_and_returns(made_up: Callable[..., dict[str, Any]]) -> None:
    events: list[Mapping[str, Any]] = []
    body = """
    import os
    print("a library's words")
    tell({"event": "progress", "done": 1})
    return {"asked": request["what"]}
"""
    assert made_up(body, request={"what": 3}, tell=events.append) == {"asked": 3}
    assert events == [{"event": "progress", "done": 1}]


def test_a_job_steps_back_behind_all_others(made_up: Callable[..., dict[str, Any]]) -> None:
    body = """
    import os
    group = "/proc/self/autogroup"
    return {
        "nice": os.nice(0),
        "score": open("/proc/self/oom_score_adj").read().strip(),
        "group": open(group).read().split()[-1] if os.path.exists(group) else "7",
    }
"""
    assert made_up(body, bounds=Bounds(8.0, nice=7)) == {"nice": 7, "score": "1000", "group": "7"}


def test_a_job_knows_its_share_of_the_gpu(made_up: Callable[..., dict[str, Any]]) -> None:
    body = "    import os\n    return {'share': os.environ['CUDA_MPS_ACTIVE_THREAD_PERCENTAGE']}"
    assert made_up(body, bounds=Bounds(8.0, gpu_share=0.25)) == {"share": "25"}


def test_a_jobs_sentence_comes_through(made_up: Callable[..., dict[str, Any]]) -> None:
    body = """
    from streetvision.errors import OperatorError
    raise OperatorError("the set is empty: add pictures")
"""
    with pytest.raises(OperatorError, match=r"^the set is empty: add pictures$"):
        made_up(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    import os\n    os.kill(os.getpid(), 9)", "was killed, as the system does when memory runs out"),
        ("    import os\n    os.kill(os.getpid(), 11)", r"ended with signal 11 \(no reason given\)$"),
        ("    raise ZeroDivisionError('by nothing')", r"ended with code 1 \(ZeroDivisionError: by nothing\)"),
    ],
)
def test_a_job_that_dies_is_told_with_its_last_words(
    made_up: Callable[..., dict[str, Any]], body: str, said: str
) -> None:
    with pytest.raises(OperatorError, match=said):
        made_up(body)


def test_a_job_stops_when_it_is_asked_to(made_up: Callable[..., dict[str, Any]]) -> None:
    ready = threading.Event()
    with pytest.raises(JobStopped):
        made_up(WAIT, tell=lambda _: ready.set(), stop=ready.is_set)


def test_a_job_that_does_not_stop_is_ended_with_all_that_it_started(made_up: Callable[..., dict[str, Any]]) -> None:
    pids: list[int] = []
    body = """
    import subprocess, time
    other = subprocess.Popen(["sleep", "60"])
    tell({"event": "ready", "pid": other.pid})
    time.sleep(60)
"""
    with pytest.raises(JobStopped):
        made_up(
            body, bounds=Bounds(8.0, grace_s=0.1), tell=lambda one: pids.append(one["pid"]), stop=lambda: bool(pids)
        )
    wait_for_the_end(pids[0])


def test_a_job_that_takes_too_much_memory_is_ended(made_up: Callable[..., dict[str, Any]]) -> None:
    body = """
    import time
    held = b"x" * (400 << 20)
    time.sleep(60)
"""
    with pytest.raises(OperatorError, match=r"took 0\.\d GiB of memory .* --retrain\.memory_gib"):
        made_up(body, bounds=Bounds(0.3))


def test_memory_of_a_session_is_that_of_all_its_processes() -> None:
    code = "import os, time; held = b'x' * (64 << 20); os.fork(); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        used = session_memory(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    assert 120 << 20 < used < 300 << 20


WAITING_ALOUD = """
def sleep(seconds, sleep=worker.time.sleep):
    if seconds == 1.0:
        print("waiting", file=sys.stderr, flush=True)
    sleep(min(seconds, 0.3))
worker.time = types.SimpleNamespace(monotonic=worker.time.monotonic, sleep=sleep)
worker.os.killpg = print
"""


def test_a_job_whose_parent_went_before_it_began_does_nothing(tmp_path: Path) -> None:
    body = "    open(request['folder'] + '/done', 'w').close()\n    return {}"
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(change=WAITING_ALOUD, body=body))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, script, "0"], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as job:
        assert job.stdin is not None
        assert job.stdout is not None
        assert job.stderr is not None
        with only_one(tmp_path, "job"):
            job.stdin.write(json.dumps({"folder": str(tmp_path)}) + "\n")
            job.stdin.close()
            assert job.stderr.readline() == "waiting\n"
        assert json.loads(job.stdout.read()) == {"event": "stopped"}
    assert job.returncode == 0
    assert not (tmp_path / "done").exists()


PARENT = """
import json, sys
from streetvision.retrain import child
from pathlib import Path
child.WORKER = "waiting_worker"
tell = lambda one: print(json.dumps(one), flush=True)
child.run_job("made_up", {"folder": sys.argv[1]}, child.Bounds(8.0), tell=tell)
"""


def test_a_job_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "waiting_worker.py").write_text(WORKER.format(change="", body=WAIT))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = json.loads(parent.stdout.readline())["pid"]
        parent.kill()
    wait_for_the_end(pid)


def test_a_second_job_waits_for_the_first_in_the_folder(tmp_path: Path, made_up: Callable[..., dict[str, Any]]) -> None:
    """As when a parent was killed, and its child is still saving what it learned."""
    with only_one(tmp_path, "job"), pytest.raises(OperatorError, match="another job is running"):
        made_up("    return {}", change="worker.ORPHAN_S = 0.0")
    assert made_up("    return {'done': True}") == {"done": True}
