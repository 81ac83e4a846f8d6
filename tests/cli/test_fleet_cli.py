"""`streetvision fleet ...`: what an operator types, and what comes back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streetvision.cli import fleet as commands
from streetvision.cli.fleet_view import view
from streetvision.doctor.check import Report, failure, ok
from streetvision.fleet import doctor as fleet_doctor
from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.member import HANDED_FILE

from ..fleet.conftest import THREE
from ..fleet.programs import HOLDS
from ..fleet.snapshots import fleet_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, state: Path) -> Run:
    """Run `streetvision fleet ...` in a folder of its own; exit code, stdout, stderr."""
    monkeypatch.delenv("STREETVISION_STATE_DIR")
    return lambda *words: command("fleet", *words)


@pytest.fixture
def file(state: Path) -> Path:
    """Of three miners on the mock network, none of which runs."""
    one = state / "fleet.toml"
    one.write_text(re.sub(r"(axon.port) = \d+", r"\1 = 0", THREE).replace("{folder}", str(state / "s")))
    return one


@pytest.fixture
def fleet(file: Path) -> Fleet:
    return load_fleet(file, {})


# -- init --------------------------------------------------------------------------------------------------------------


def wallets(folder: Path, *hotkeys: str) -> Path:
    for name in hotkeys:
        (folder / "cold" / "hotkeys").mkdir(parents=True, exist_ok=True)
        (folder / "cold" / "hotkeys" / name).write_text("{}")
        (folder / "cold" / "hotkeys" / f"{name}pub.txt").write_text("{}")
    return folder


def test_init_finds_the_hotkeys_and_keeps_the_single_miner(run: Run, state: Path) -> None:
    folder = wallets(state / "w", "a", "b", "old")
    (state / "miner.env").write_text(
        f"WALLET_NAME=cold\nWALLET_HOTKEY=old\nWALLET_PATH={folder}\nMINER_AXON_PORT=8095\nHF_TOKEN=secret\n"
    )
    code, out, err = run("init", "--yes", "--axon.external_ip", "203.0.113.7", "--json")
    assert code == 0
    ports = {"old": 8095, "a": 8096, "b": 8097}
    assert json.loads(out) == {"file": str(state / "fleet.toml"), "miners": ports}
    assert "HF_TOKEN is no setting: put it into the environment" in err
    assert "secret" not in err
    made = load_fleet(state / "fleet.toml", {})
    assert [member.name for member in made.members] == ["old", "a", "b"]
    assert [member.settings.axon.port for member in made.members] == [8095, 8096, 8097]
    assert made.members[0].folder == Path("~/.streetvision").expanduser()
    assert (state / "fleet.toml").stat().st_mode & 0o777 == 0o600
    code, _, err = run("init", "--yes")
    assert code == 1
    assert "exists: add --overwrite" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--axon.prt", "5"), "--axon.prt is no flag of the miner (did you mean --axon.port?)"),
        (("--wallet.name", "nobody"), "has no hotkeys: name the wallet with --wallet.name"),
        (("--axon.port", "x"), "'x' is not a whole number"),
        (("--env_file", "none.env"), "none.env"),
    ],
)
def test_init_with_a_mistake_is_one_sentence(run: Run, state: Path, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = run("init", "--yes", *words)
    assert (code, out) == (1, "")
    assert sentence in err
    assert not (state / "fleet.toml").exists()


def test_init_without_a_terminal_writes_nothing_unless_told(run: Run, state: Path) -> None:
    code, _, err = run("init", "--hotkey", "a", "--hotkey", "b")
    assert code == 1
    assert "[miners.b]" in err
    assert err.endswith("Nothing was written: add --yes.\n")
    assert not (state / "fleet.toml").exists()


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_of_a_fleet_that_does_not_run(run: Run, file: Path) -> None:
    code, out, err = run("status")
    assert (code, err) == (1, "")
    assert "0 of 3 serving" in out
    assert "hot1  it does not run: `streetvision fleet up` starts it" in out
    code, out, _ = run("status", "--json", "--file", str(file))
    found = json.loads(out)
    assert (code, [row["state"] for row in found["miners"]]) == (1, ["stopped"] * 3)


def shown(found: Any, width: int) -> str:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(view(found, width))
    return capture.get()


@pytest.mark.parametrize("width", [90, 140])
def test_the_view_says_what_matters(fleet: Fleet, width: int) -> None:
    text = shown(fleet_of(fleet), width)
    lines = text.splitlines()
    assert lines[0].startswith("streetvision fleet ● 1 of 3 serving")
    row = next(line for line in lines if line.startswith("hot1"))
    assert "● serving" in row
    assert "of 248" in row
    assert "1 warning" in row
    assert "hot2  killed by SIGKILL; tried again in 3 s" in text
    assert "warning  hot1: the disk is nearly full" in text
    assert ("MiB" in text) == (width == 140)
    assert all(len(line.rstrip()) <= width for line in lines)


def test_no_word_of_a_miner_steers_the_terminal(fleet: Fleet) -> None:
    found = fleet_of(fleet)
    found["miners"][0]["why"] = "a\x1b[31mb"
    assert "\x1b[31m" not in shown(found, 140)


# -- starting and stopping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("up",), ("serve",), ("down",), ("status",), ("restart", "hot1"), ("logs",)])
def test_a_file_that_is_wrong_is_one_sentence_for_each_command(run: Run, state: Path, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert "write one with `streetvision fleet init`" in err
    (state / "fleet.toml").write_text("[shared]\nthread = 1\n[miners.a]\naxon.port = 1\n")
    code, _, err = run(*words)
    assert code == 1
    assert "(did you mean threads?)" in err


def test_down_of_what_does_not_run(run: Run, file: Path) -> None:
    assert run("down") == (0, "", "Nothing of it runs.\n")
    assert run("down", "--json")[:2] == (0, '{"stopped": []}\n')


def test_down_stops_what_was_left(run: Run, fleet: Fleet) -> None:
    folder = fleet.members[0].folder
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-S", "-c", HOLDS], cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        code, out, err = run("down", "--json")
        assert process.wait(10) == 0
    assert (code, out) == (0, '{"stopped": ["hot1"]}\n')
    assert err == f"hot1: stopping process {process.pid}\n"


def test_restart_needs_a_fleet_that_is_up_and_a_miner_of_it(run: Run, file: Path) -> None:
    code, _, err = run("restart", "hot1")
    assert code == 1
    assert "no fleet is up in" in err
    code, _, err = run("restart", "hot9")
    assert code == 1
    assert "has no miner 'hot9' (did you mean" in err


def test_stop_waits_until_it_has_ended(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("stop", "hot1")
    assert code == 1
    assert "no fleet is up in" in err
    asked: list[Any] = []
    monkeypatch.setattr("streetvision.fleet.asking.ask", lambda *words: asked.append(words[1:]))
    looks = iter([Kept(pid=6), Kept(held=True)])
    monkeypatch.setattr("streetvision.fleet.asking.kept_by", lambda _: {"hot1": next(looks)})
    monkeypatch.setattr(commands, "LOOK_S", 0.01)
    assert run("stop", "hot1", "--json")[:2] == (0, '{"stopped": ["hot1"]}\n')
    assert asked == [("stop", {"name": "hot1"})]


@pytest.mark.parametrize(
    ("after", "patience", "code", "sentence"),
    [
        (Kept(pid=7, started=1e12, ready=1e12), "60", 0, "hot1 is ready, process 7."),
        (Kept(started=1e12, ended=2e12, why="exit code 1: no"), "60", 1, "hot1 did not start (exit code 1: no)"),
        (Kept(pid=7, started=1e12), "0", 1, "hot1 is not ready yet"),
    ],
)
def test_restart_waits_for_how_it_ends(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, after: Kept, patience: str, code: int, sentence: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("streetvision.fleet.asking.ask", lambda *words: asked.append(words[1:]))
    looks = iter([Kept(pid=6, started=1.0, ready=2.0), *[after] * 9])
    monkeypatch.setattr("streetvision.fleet.asking.kept_by", lambda _: {"hot1": next(looks)})
    monkeypatch.setattr(commands, "LOOK_S", 0.01)
    ended, _, err = run("restart", "hot1", "--patience", patience)
    assert asked == [("restart", {"name": "hot1"})]
    assert (ended, sentence in err) == (code, True), err


def test_run_becomes_the_miner(run: Run, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *words: became.append((*words, Path.cwd())))
    assert run("run", "hot2")[0] == 0
    ((program, words, environ, folder),) = became
    member = fleet.members[1]
    assert program == sys.executable
    assert words[-2:] == ["--env_file", str(member.folder / HANDED_FILE)]
    assert folder == member.folder
    assert "MINER_ENV" not in environ


# -- logs and doctor ---------------------------------------------------------------------------------------------------


def test_logs_of_all_name_their_miner_and_of_one_do_not(run: Run, fleet: Fleet) -> None:
    for member in fleet.members[:2]:
        member.folder.mkdir(parents=True)
        member.log.write_text(f"one\nlast of {member.name}\n")
    assert run("logs", "-n", "1")[1] == "hot1 | last of hot1\nhot2 | last of hot2\n"
    assert run("logs", "hot2", "--lines", "2")[1] == "one\nlast of hot2\n"
    out = run("logs", "hot2", "--json", "-n", "1")[1]
    assert json.loads(out) == {"miner": "hot2", "line": "last of hot2"}
    assert run("logs", "nobody")[0] == 1


def test_the_doctor_tells_once_what_is_the_same_for_all(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine(settings: Any, *_: Any) -> Report:
        await asyncio.sleep(0)
        wrong = settings.wallet.hotkey == "hot2"
        port = failure("port", "taken", "choose another") if wrong else ok("port", "free")
        return Report((ok("versions", "all there"), port))

    monkeypatch.setattr(fleet_doctor, "examine", examine)
    code, out, err = run("doctor")
    assert (code, err) == (1, "")
    assert out.count("all there") == 1
    assert re.search(r"hot2\n +✗ failure port +taken\n +→ choose another", out)
    assert "hot1\n  nothing of its own is wrong" in out
    code, out, _ = run("doctor", "--all")
    assert out.count("all there") == 3
    code, out, _ = run("doctor", "hot1", "--json")
    assert (code, list(json.loads(out)["miners"])) == (0, ["hot1"])
