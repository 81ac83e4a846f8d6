"""`streetvision init`: what it writes, what it refuses, and asking on a real terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streetvision.cli.interview import QUESTIONS, Suggestion, complete
from streetvision.cli.main import main
from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.env_file import quoted, read_former, render, settings_of, write
from streetvision.settings.loading import load_settings

Run = Callable[..., tuple[int, str]]
HOOK = "https://discord.com/api/webhooks/1234567890/very-secret-part"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `streetvision init` in an empty folder without a terminal; exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINER_ENV", raising=False)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["streetvision", "init", *arguments])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize(("extras", "told"), [(frozenset[str](), True), (frozenset({"openvino"}), False)])
def test_on_a_machine_without_a_gpu_the_quicker_runner_is_recommended(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extras: frozenset[str], told: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("streetvision.cli.init.installed", lambda: extras)
    code, said = run("--yes", "--subtensor.network", "mock")
    assert code == 0
    assert ("pip install 'streetvision[openvino]'" in " ".join(said.split())) is told


MAIN_NET = ("--axon.external_ip", "203.0.113.7", "--wallet.name", "cold", "--wallet.hotkey", "hot", "--model", "1.2.0")


def test_flags_write_a_file_that_the_miner_reads_back(run: Run, tmp_path: Path) -> None:
    code, err = run("--yes", *MAIN_NET, "--axon.port", "9001", "--log.max_gib", "5", "--alerts.discord_url", HOOK)
    assert code == 0, err
    file = tmp_path / "miner.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert HOOK not in err
    assert HOOK in file.read_text()
    settings = load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert (settings.wallet.name, settings.wallet.hotkey, settings.model.choice) == ("cold", "hot", "1.2.0")
    assert (settings.axon.port, settings.axon.external_ip, settings.log.max_gib) == (9001, "203.0.113.7", 5.0)
    assert settings.alerts.discord_url.reveal() == HOOK
    assert "NETUID" not in file.read_text()  # a default is not written


def test_an_existing_file_is_never_replaced_unasked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("MODEL_THREADS=3\nMINER_AXON_PORT=9000\n")
    code, err = run("--yes", *MAIN_NET)
    assert code == 1
    assert "--overwrite" in err
    assert (tmp_path / "miner.env").read_text() == "MODEL_THREADS=3\nMINER_AXON_PORT=9000\n"
    assert run("--yes", "--overwrite", *MAIN_NET)[0] == 0
    settings = load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert (settings.threads, settings.axon.port) == (3, 9000)  # what was set stays


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--axon.port", "99999"), "--axon.port: 99999 is not between 0 and 65535"),
        (("--axon.external_ip", "here"), "--axon.external_ip"),
        (("--alerts.discord_url", "ftp://x/very-secret-part"), "--alerts.discord_url"),
        (("--model.repo", "no-slash"), "is not owner/name"),
        (("--device", "gpu7"), "use auto, cpu or cuda"),
        (("--device", "cuda:x"), "use auto, cpu or cuda"),
        (("--register", "burn"), "--register.max_burn"),
        (("--no-such-flag", "1"), "--no-such-flag"),
    ],
)
def test_wrong_answers_write_nothing(run: Run, tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    base = [word for word in MAIN_NET if not (flags[0] == "--axon.external_ip" and word in MAIN_NET[:2])]
    code, err = run("--yes", *base, *flags)
    assert code == 1
    assert says in err
    assert "very-secret-part" not in err
    assert list(tmp_path.iterdir()) == []


OFFICIAL = """IMAGE_DETECTOR=ViT
IMAGE_DETECTOR_DEVICE=cpu
NETUID=72            # 72 for the main network
CHAIN_ENDPOINT=ws://10.0.0.7:9944
WALLET_NAME=cold
WALLET_HOTKEY=hot
MINER_AXON_PORT=notaport
"""


def test_official_settings_are_taken_over_and_flags_win(run: Run, tmp_path: Path) -> None:
    (tmp_path / "official.env").write_text(OFFICIAL)
    code, err = run(
        *("--yes", "--from", "official.env", "--from", "python neurons/miner.py --axon.external-ip 203.0.113.7"),
        *("--model", "1.2.0", "--wallet.hotkey", "other"),
    )
    assert code == 0, err
    settings = load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert settings.subtensor.endpoints == ("ws://10.0.0.7:9944",)
    assert (settings.wallet.name, settings.wallet.hotkey, settings.device) == ("cold", "other", "cpu")
    assert (settings.axon.port, settings.axon.external_ip) == (8091, "203.0.113.7")
    said = " ".join(err.split())
    assert "CHAIN_ENDPOINT in the official settings is the official miner's; it is read as" in said
    assert "'notaport' is not a whole number; it is left out" in said
    assert "IMAGE_DETECTOR in the official settings is the official miner's: it picks a detector" in said


def test_official_settings_that_are_none_write_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "poem").write_text("roses are red")
    code, err = run("--yes", *MAIN_NET, "--from", "poem")
    assert code == 1
    assert err.startswith("error: poem is neither a settings file nor a script or command")
    assert not (tmp_path / "miner.env").exists()


def test_without_a_terminal_it_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, err = run()
    assert code == 1
    assert "--yes" in err


def test_behind_nat_the_public_address_is_needed(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("streetvision.cli.interview.own_addresses", lambda: ["192.168.1.5"])
    code, err = run("--yes", "--model", "1.2.0")
    assert code == 1
    assert "--axon.external_ip" in err
    assert not (tmp_path / "miner.env").exists()


def test_suggestions_come_from_the_disk_and_from_earlier_answers(tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        (tmp_path / "wallets" / name / "hotkeys").mkdir(parents=True)
    (tmp_path / "wallets" / "beta" / "hotkeys" / "hk1").write_text("{}")
    (tmp_path / "wallets" / "beta" / "hotkeys" / "hk1pub.txt").write_text("{}")
    asked: dict[str, str] = {}

    def ask(question: object, suggestion: Suggestion) -> str:
        name = getattr(question, "name")  # noqa: B009 - typed as object
        asked[name] = suggestion.text
        return (
            "test" if name == "subtensor.network" else "203.0.113.7" if name == "axon.external_ip" else suggestion.text
        )

    answers = complete({"wallet.path": str(tmp_path / "wallets"), "state_dir": str(tmp_path)}, ask)
    assert asked["netuid"] == "323"
    assert (asked["wallet.name"], asked["wallet.hotkey"]) == ("beta", "hk1")
    assert settings_of(answers).netuid == 323


def test_the_mock_network_is_asked_about_less() -> None:
    answers = complete({"subtensor.network": "mock"}, lambda question, suggestion: suggestion.text)
    assert set(answers) == {"subtensor.network", "netuid", "axon.port", "model", "device"}
    assert answers["model"] == "bundled"


def test_every_question_is_about_a_setting() -> None:
    names = [question.name for question in QUESTIONS]
    assert len(set(names)) == len(names)
    for question in QUESTIONS:
        question.suggest({"subtensor.network": "finney"})


@pytest.mark.parametrize(
    "text", ["plain", "with space", "a#b", "it's", 'say "x"', "a\\b", "$HOME", "C:\\new folder's", "é"]
)
def test_values_survive_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "miner.env"
    write(file, render({"wallet.name": text}))
    assert read_former(file).answers == {"wallet.name": text}


def test_what_is_no_setting_stays_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "miner.env"
    file.write_text("NETUID=1\nALERTS_DISCORD_URL_FILE=/run/secret\nHF_TOKEN='hf it'\nEMPTY=\n")
    former = read_former(file)
    assert former.others == {"ALERTS_DISCORD_URL_FILE": "/run/secret", "HF_TOKEN": "hf it"}
    assert former.notes == ()
    assert "hf it" not in render(former.answers, former.others, hide=True)
    write(file, render(former.answers, former.others))
    assert (read_former(file).answers, read_former(file).others) == ({"netuid": "1"}, former.others)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.env").write_text("")
    (tmp_path / "miner.env").symlink_to("real.env")
    write(tmp_path / "miner.env", "NETUID=1\n")
    assert (tmp_path / "miner.env").is_symlink()
    assert (tmp_path / "real.env").read_text() == "NETUID=1\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--env_file"):
        write(tmp_path / "nowhere" / "miner.env", "")


def test_a_value_that_no_quotes_carry_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        quoted("two\rlines")


class Terminal:
    """`streetvision init` on a pseudo-terminal."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._main, other = pty.openpty()
        code = "from streetvision.cli.main import main; main()"
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "init", *flags],
            cwd=folder,
            env=environ,
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self.seen = ""

    def answer(self, question: str, text: str, *, hidden: bool = False) -> None:
        self.wait_for(question)
        while hidden and termios.tcgetattr(self._main)[3] & termios.ECHO:  # what is typed before that is thrown away
            time.sleep(0.01)
        os.write(self._main, f"{text}\n".encode())

    def wait_for(self, question: str) -> None:
        deadline = time.monotonic() + 30
        start = len(self.seen)
        while question not in self.seen[start:]:
            ready = select.select([self._main], [], [], max(0.0, deadline - time.monotonic()))[0]
            part = self._read() if ready else ""
            assert part, f"no {question!r} in {self.seen!r}"
            self.seen += part

    def _read(self) -> str:
        try:
            return os.read(self._main, 4096).decode()
        except OSError:  # how Linux says that the other end is closed
            return ""

    def end(self) -> int:
        while part := self._read():
            self.seen += part
        return self.process.wait(30)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._main)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start `streetvision init` with flags; it ends with the test."""
    started: list[Terminal] = []

    def start(*flags: str) -> Terminal:
        started.append(Terminal(tmp_path, *flags))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_asking_on_a_terminal(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
    (tmp_path / ".bittensor" / "wallets" / "mine" / "hotkeys").mkdir(parents=True)
    (tmp_path / ".bittensor" / "wallets" / "mine" / "hotkeys" / "hk7").write_text("{}")
    dialog = terminal()
    dialog.answer("Network", "")
    dialog.answer("Subnet", "")
    dialog.answer("Wallet", "")
    dialog.answer("Hotkey", "")
    dialog.answer("Port", "seven")
    dialog.answer("'seven' is not a whole number", "9100")
    dialog.answer("Public address", "203.0.113.7")
    dialog.answer("Model", "bundled")
    dialog.answer("repository", "me/roads")
    dialog.answer("Device", "cpu")
    dialog.answer("Discord", HOOK, hidden=True)
    dialog.answer("Write it?", "y")
    assert dialog.end() == 0, dialog.seen
    assert "very-secret-part" not in dialog.seen
    assert "Ctrl-C leaves; nothing is written before" in " ".join(dialog.seen.split())
    asked = dialog.seen.partition("\nminer.env:")[0]
    longest = max(re.split(r"\n|\]: ", asked), key=len)  # what is typed need not be echoed in its place
    assert len(longest) <= 80, longest
    settings = load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert (settings.wallet.name, settings.wallet.hotkey, settings.axon.port) == ("mine", "hk7", 9100)
    assert (settings.model.choice, settings.model.repo, settings.device) == ("bundled", "me/roads", "cpu")


def test_no_means_no(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
    dialog = terminal("--subtensor.network", "mock", "--netuid", "72", "--model", "bundled", "--device", "cpu")
    dialog.answer("Port", "")
    dialog.answer("Write it?", "n")
    assert dialog.end() == 1
    assert list(tmp_path.glob("miner.env")) == []
