"""`streetvision models publish|pull`: what operators type and read; and a process that is killed in the middle."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import enable_progress_bars  # type: ignore[attr-defined]  # its __all__ is computed

from streetvision.registry.registry import Registry

from .fake_hub import ALICE, TOKEN, FakeHub

COMMAND = (sys.executable, "-c", "from streetvision.cli.main import main; main()", "models")
REPO = "miner/roadwork"
Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""huggingface_hub's own upload of large files."""


@pytest.fixture
def run(server: FakeHub, monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Iterator[Run]:
    """Run the command in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SUBTENSOR_NETWORK", "mock")
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    level = logging.getLogger("huggingface_hub").level

    def call(*arguments: str, **environ: str) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            return command("models", *arguments)

    yield call
    logging.getLogger("huggingface_hub").setLevel(level)
    enable_progress_bars()


@pytest.fixture
def files(files: dict[str, bytes]) -> dict[str, bytes]:
    """Submitted now: the command's clock is the machine's."""
    card = json.loads(files["model_card.json"]) | {"submission_time": int(time.time())}
    return files | {"model_card.json": json.dumps(card).encode()}


@pytest.fixture
def added(model_folder: Path, registry: Registry) -> str:
    return registry.add_folder(model_folder, source="here").version


def test_publish_shows_then_uploads_then_refuses(server: FakeHub, run: Run, added: str) -> None:
    code, out, err = run("publish", added, "--repo", REPO)
    assert code == 0, err
    assert "would publish 1.0.0 to miner/roadwork (new, public) as tag v1.0.0" in out
    for part in ("model.safetensors", "model_card.json:", '"submitted_by"', "## Limits", "nothing was sent"):
        assert part in out
    assert "no Hugging Face token yet" in err
    assert server.repos == {}
    code, out, err = run("publish", added, "--repo", REPO, "--hotkey", ALICE, "--yes", "--json", HF_TOKEN=TOKEN)
    fields = json.loads(out)
    assert (code, err) == (0, "")
    assert fields["commit"] == server.repos[REPO].tags["v1.0.0"]
    assert fields["card"]["submitted_by"] == ALICE
    assert TOKEN not in out + err
    code, out, err = run("publish", added, "--repo", REPO, "--yes", HF_TOKEN=TOKEN)
    assert (code, out) == (1, "")
    assert err.startswith("error: miner/roadwork has a tag v1.0.0 already")
    assert err.count("\n") == 1


def test_the_card_is_in_the_wallets_name(server: FakeHub, run: Run, added: str) -> None:
    code, out, _ = run("publish", added, "--repo", REPO, "--json")
    assert code == 0
    from streetvision.chain.wallets import dev_wallet

    assert json.loads(out)["card"]["submitted_by"] == dev_wallet().ss58_address
    code, _, err = run("publish", added, "--repo", REPO, "--wallet.name", "nobody", "--wallet.path", "wallets")
    assert code == 1
    assert "wallets/nobody/hotkeys/default does not exist" in err


def test_pull_reports_and_warns(server: FakeHub, run: Run, files: dict[str, bytes]) -> None:
    repo = server.repo(REPO, files)
    code, out, err = run("pull", f"{REPO}@v1.0.0", "--json")
    assert code == 0, err
    fields = json.loads(out)
    assert fields["source"] == f"hf:{REPO}@{repo.head}"
    assert "not this miner's hotkey" in fields["warnings"][0]
    assert err.startswith("warning: model_card.json:")
    code, out, err = run("pull", f"hf:{REPO}", "--hotkey", ALICE)
    assert (code, err) == (0, "")
    assert out.startswith("1.0.0  roadwork-tiny")


def test_pull_refuses_with_a_sentence(server: FakeHub, run: Run, files: dict[str, bytes]) -> None:
    server.repo(REPO, {"pytorch_model.bin": b"x"})
    for arguments, says in (
        ((REPO,), "can run code when they are loaded"),
        ((f"{REPO}@v7.0.0",), "no such tag, branch or commit"),
        (("../x",), "is no Hugging Face repository"),
        (("nobody/nothing",), "does not exist or is private"),
    ):
        code, out, err = run("pull", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert says in err
        assert err.count("\n") == 1


def test_an_interrupted_pull_goes_on(
    server: FakeHub, run: Run, environment: dict[str, str], files: dict[str, bytes], tmp_path: Path
) -> None:
    server.repo(REPO, files)
    server.stall_after = 100_000
    process = subprocess.Popen([*COMMAND, "pull", REPO], env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    place = tmp_path / "state" / "models" / "pulls"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size >= 100_000 for path in place.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.stall_after = None
    server.released.set()
    code, _, err = run("pull", REPO, "--hotkey", ALICE)
    assert (code, err) == (0, "")
    assert server.requests[-1][2]["range"] == "bytes=100000-"
