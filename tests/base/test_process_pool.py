"""Work in several processes: in order, without the main module, and with one sentence where a process is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from streetvision.base.process_pool import WorkerLost, map_on_cores
from streetvision.rehearsal import drawing
from streetvision.rehearsal.drawing import FIRST_SCENE, Drawing, draw_all
from streetvision.scenes.sprites.sprite import atlas
from streetvision.training.rendering import SceneWorkers

UNGUARDED = """
import os, sys
from streetvision.base.process_pool import map_on_cores
print("main", flush=True)
print(*map_on_cores(abs, range(-9, 0), 2), flush=True)
"""
OWN = """
from streetvision.base.process_pool import map_on_cores

def double(number):
    return 2 * number

if __name__ == "__main__":
    print(*map_on_cores(double, range(9), 2), flush=True)
"""


def kill_at(number: int, *, fatal: int) -> int:
    if number == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def printed(tmp_path: Path, text: str) -> str:
    script = tmp_path / "script.py"
    script.write_text(text)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_results_come_in_order() -> None:
    assert list(map_on_cores(partial(kill_at, fatal=-1), range(30), 2)) == list(range(30))


def test_a_process_that_is_ended_is_one_sentence_and_no_wait() -> None:
    results = map_on_cores(partial(kill_at, fatal=9), range(40), 2)
    with pytest.raises(WorkerLost, match="ended, as the system does when memory runs out: run it again"):
        list(results)


def test_the_main_module_does_not_begin_again(tmp_path: Path) -> None:
    assert printed(tmp_path, UNGUARDED).split() == ["main", *map(str, range(9, 0, -1))]


def test_a_scripts_own_function_is_found(tmp_path: Path) -> None:
    assert printed(tmp_path, OWN).split() == [str(2 * number) for number in range(9)]


def test_the_pools_of_sprites_and_drawings_use_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (atlas(4, side=32, workers=2).pixels == atlas(4, side=32).pixels).all()
    monkeypatch.setattr(drawing, "usable_cpus", lambda: 2)
    monkeypatch.setattr(drawing, "_AT_ONCE", 2)
    draw_all([Drawing(tmp_path, FIRST_SCENE + number) for number in range(4)])
    assert len(list(tmp_path.rglob("*.jpg"))) == 4


def test_scene_workers_that_are_ended_are_told() -> None:
    with SceneWorkers(1, size=(64, 64), first_seed=500, chunk=4) as workers:
        assert workers.poll(lambda _: None, wait_s=60.0)
        for process in workers._processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        with pytest.raises(WorkerLost):
            while workers.poll(lambda _: None, wait_s=0.2):
                pass
