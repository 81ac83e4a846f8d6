"""What needs no model and no chain imports neither: a slip is told at once, and a look costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

HEAVY = ("torch", "bittensor", "timm", "transformers", "huggingface_hub", "pyarrow", "fiftyone", "boto3", "uvicorn")
ROOT = Path(__file__).parents[2]
FORKING = f"""
import atexit, json, os, sys
from streetvision.cli import main as cli
from streetvision.miner import process as miner

def report():
    heavy = sorted({set(HEAVY)} & set(sys.modules))
    os.write(2, ("heavy:" + " ".join(heavy)).encode())

def become(module, folder, arguments):
    os.chdir(folder)
    for descriptor, name in enumerate(("/dev/null", "out.txt", "err.txt")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    sys.argv = ["streetvision", *arguments]
    atexit.register(report)
    {{"cli": cli, "miner": miner}}[module].main()

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        become(*json.loads(line))
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Forks for each command, so that the interpreter starts and typer is imported once for all of them."""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of all commands."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def forking(home: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """Where to write which command to run, and where its exit code comes."""
    command, pipe = [sys.executable, "-c", FORKING], subprocess.PIPE
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=home, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()
        assert process.wait(10.0) == 0


@pytest.fixture
def call(forking: tuple[IO[str], IO[str]], tmp_path: Path) -> Call:
    """Run `cli` or `miner` in a process of its own and an empty folder; exit code, stdout, stderr."""
    orders, codes = forking

    def run(module: str, *arguments: str) -> tuple[int, str, str]:
        orders.write(json.dumps((module, str(tmp_path), arguments)) + "\n")
        orders.flush()
        code = int(codes.readline())
        said, _, heavy = (tmp_path / "err.txt").read_text().rpartition("heavy:")
        assert heavy == "", f"{arguments} imports {heavy}"
        return code, (tmp_path / "out.txt").read_text(), said

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--help", 0, "Usage"),
        ("--version", 0, "0."),
        ("stats", 2, "No such command 'stats'. Did you mean 'status'?"),
        ("status --bogus", 2, "No such option"),
        ("label run --oracle.url http://a", 2, "It is a setting: put ORACLE_URL=... into miner.env"),
        ("status --help", 0, "--watch"),
        ("status", 1, "no miner runs with the state folder"),
        ("status --json", 1, "no miner runs with the state folder"),
        ("log stats", 1, "error: "),
        ("log tail --help", 0, "--follow"),
        ("models list", 0, "bundled"),
        ("models swap 1.2.0", 1, "no miner runs"),
        ("predict gone.jpg", 1, "there is no such file: gone.jpg"),
        ("predict gone.jpg --model nowhere", 1, "nowhere is not a folder"),
        ("evaluate --help", 0, "--against"),
        ("evaluate nowhere pictures", 1, "nowhere is not a folder"),
        ("evaluate active pictures", 1, "No version is marked as active"),
        ("evaluate 9.9.9 pictures", 1, "There is no model version '9.9.9'"),
        ("evaluate bundled nowhere", 1, "nowhere"),
        ("evaluate bundled pictures --split tset", 1, "There is no split 'tset'"),
        ("evaluate bundled pictures --report no/where.html", 1, "The folder of no/where.html does not exist"),
        ("evaluate bundled pictures --calibrate best", 1, "'best' is no semantic version"),
        ("evaluate bundled one two --calibrate 1.0.1", 1, "--calibrate fits to one dataset"),
        ("cost --per_second 0.05", 0, "a card for each miner"),
        ("cost", 1, "there is no prediction log"),
        ("modal --help", 0, "deploy"),
        ("train --recipe quick --on modal", 1, "say how much it may with --usd"),
        ("label run", 1, "no oracle is configured"),
        ("label stats", 1, "no oracle is configured"),
        ("retrain history", 0, "no run yet"),
        ("retrain show nowhere", 1, "there is no run yet"),
        ("replay --model nowhere", 1, "there is no prediction log"),
        ("doctor --env_file nowhere.env", 1, "there is no settings file nowhere.env"),
        ("demo --photos nowhere", 1, "nowhere is neither a picture nor a folder"),
        ("challenge --help", 0, "--endpoint"),
        ("challenge nowhere.jpg", 1, "nowhere.jpg"),
        ("completion bash", 0, "complete"),
        ("init --yes --overwrite --nonsense", 1, "--nonsense"),
        ("register --nonsense", 1, "--nonsense"),
        ("video gone.mp4", 1, "there is no such file: gone.mp4"),
        ("video list", 0, "no videos yet"),
        ("video search cones", 1, "VIDEO_TWELVELABS=true"),
    ],
)
def test_a_quick_command(call: Call, arguments: str, code: int, says: str) -> None:
    got, out, err = call("cli", *arguments.split())
    assert (got, says in out + err) == (code, True), out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--bogus 1", "--bogus is no flag of the miner"),
        ("--axon.port 70000", "--axon.port: 70000 is not between 0 and 65535"),
        ("--env_file nowhere.env", "there is no settings file nowhere.env"),
        ("--model nowhere", "nowhere is not a folder"),
        ("--model 9.9.9 --subtensor.network mock", "There is no model version '9.9.9'"),
        ("--netuid 72", "no model is chosen"),
        ("--model bundled", "wallets/default/hotkeys/default does not exist"),
        ("--model bundled --wallet.name ../x", "a name has no slashes"),
        ("--model https://x.y/z --subtensor.network mock", "--model takes no address"),
        ("--subtensor.network mock --state_dir /proc/none", "the state folder /proc/none cannot be made"),
    ],
)
def test_a_start_that_cannot_be_is_refused_at_once(call: Call, home: Path, arguments: str, says: str) -> None:
    code, out, err = call("miner", *arguments.split())
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if "INFO" not in line]
    assert len(lines) == 1, err
    assert says in lines[0]
    assert not (home / ".streetvision" / "starting.json").exists()


def test_a_second_miner_is_refused_at_once(call: Call, home: Path) -> None:
    from streetvision.base.state_folder import one_miner

    with one_miner(home / ".streetvision"):
        code, _, err = call("miner", "--subtensor.network", "mock")
    assert code == 1
    assert f"another miner is running in {home}/.streetvision: stop it, or name another" in err
