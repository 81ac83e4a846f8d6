"""What needs no model and no chain imports neither: a slip is told at once, and a look costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "bittensor", "timm", "transformers", "huggingface_hub", "pyarrow", "fiftyone", "boto3", "uvicorn")
ROOT = Path(__file__).parents[2]
REPORT = f"print('heavy:', *sorted({set(HEAVY)} & set(sys.modules)), file=sys.stderr)"
CLI = f"import atexit, sys; atexit.register(lambda: {REPORT}); from streetvision.cli.main import main; main()"
MINER = f"import atexit, sys; atexit.register(lambda: {REPORT}); from streetvision.miner.process import main; main()"


def call(code: str, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run it in a fresh interpreter and an empty folder; exit code, stdout, and stderr before the list of imports."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said, _, heavy = done.stderr.rpartition("heavy:")
    assert heavy == "\n", f"{arguments} imports {heavy}"
    return done.returncode, done.stdout, said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--help", 0, "Usage"),
        ("--version", 0, "0."),
        ("stats", 2, "No such command 'stats'. Did you mean 'status'?"),
        ("status --bogus", 2, "No such option"),
        ("status --help", 0, "--watch"),
        ("status", 1, "no miner runs with the state folder"),
        ("status --json", 1, "no miner runs with the state folder"),
        ("log stats", 1, "error: "),
        ("log tail --help", 0, "--follow"),
        ("models list", 0, "bundled"),
        ("models swap 1.2.0", 1, "no miner runs"),
        ("predict gone.jpg", 1, "there is no such file: gone.jpg"),
        ("predict gone.jpg --model nowhere", 1, "nowhere is not a folder"),
        ("replay --model nowhere", 1, "there is no prediction log"),
        ("doctor --env_file nowhere.env", 1, "there is no settings file nowhere.env"),
        ("demo --photos nowhere", 1, "nowhere is neither a picture nor a folder"),
        ("challenge --help", 0, "--endpoint"),
        ("challenge nowhere.jpg", 1, "nowhere.jpg"),
        ("completion bash", 0, "complete"),
        ("init --yes --overwrite --nonsense", 1, "--nonsense"),
        ("register --nonsense", 1, "--nonsense"),
    ],
)
def test_a_quick_command(tmp_path: Path, arguments: str, code: int, says: str) -> None:
    got, out, err = call(CLI, tmp_path, *arguments.split())
    assert (got, says in out + err) == (code, True), out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--bogus 1", "unrecognized arguments: --bogus"),
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
def test_a_start_that_cannot_be_is_refused_at_once(tmp_path: Path, arguments: str, says: str) -> None:
    code, out, err = call(MINER, tmp_path, *arguments.split())
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if "INFO" not in line]
    assert len(lines) == 1, err
    assert says in lines[0]
    assert not (tmp_path / ".streetvision" / "starting.json").exists()


def test_a_second_miner_is_refused_at_once(tmp_path: Path) -> None:
    from streetvision.base.state_folder import one_miner

    with one_miner(tmp_path / ".streetvision"):
        code, _, err = call(MINER, tmp_path, "--subtensor.network", "mock")
    assert code == 1
    assert f"another miner is running in {tmp_path}/.streetvision: stop it, or name another" in err
