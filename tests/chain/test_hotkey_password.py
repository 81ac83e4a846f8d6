"""The password of an encrypted hotkey: where it may stand, who may read it, and that it is shown nowhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bittensor import Wallet
from loguru import logger

from streetvision.chain.hotkey_password import VARIABLE, hotkey_password, is_exposed
from streetvision.chain.wallets import load_wallet
from streetvision.doctor.check import Mark
from streetvision.doctor.keys import check_hotkey
from streetvision.errors import ConfigError, OperatorError
from streetvision.miner.from_settings import open_wallet
from streetvision.settings.loading import load_settings
from streetvision.settings.network import WalletSettings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings
from streetvision.settings.sources import unknown_names

PASSWORD = "s3cret words "  # with a space at its end, which counts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wallet with an encrypted hotkey; made once, as encrypting takes seconds."""
    folder = tmp_path_factory.mktemp("wallets")
    Wallet("cold", "hot", str(folder)).create_new_hotkey(hotkey_password=PASSWORD, suppress=True)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def lines() -> Iterator[list[str]]:
    kept: list[str] = []
    sink = logger.add(lambda message: kept.append(str(message)), level="TRACE", diagnose=True, backtrace=True)
    yield kept
    logger.remove(sink)


def test_a_file_and_the_environment(file: Path) -> None:
    assert hotkey_password(file, {}) == Secret(PASSWORD)
    assert hotkey_password(file, {VARIABLE: "other"}) == Secret("other")
    assert not hotkey_password(None, {})


def test_the_variable_is_taken_out_of_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    assert hotkey_password(None, os.environ) == Secret(PASSWORD)
    child = [sys.executable, "-c", f"import os; print(os.environ.get({VARIABLE!r}))"]
    assert subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip() == "None"


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"a\0b", b"x" * 5000])
def test_a_file_that_holds_no_password(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(OperatorError, match=r"cannot be read from .*password \(.*\): correct --wallet") as caught:
        hotkey_password(file, {})
    assert "one" not in str(caught.value).replace("one line", "")


def test_a_windows_line_end_is_no_part_of_it(file: Path) -> None:
    file.write_bytes(b"word\r\n")
    assert hotkey_password(file, {}) == Secret("word")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, tmp_path / "absent"):
        with pytest.raises(OperatorError, match="cannot be read from"):
            hotkey_password(place, {})


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_others_who_may_read_it(file: Path, lines: list[str], mode: int, exposed: bool) -> None:
    file.chmod(mode)
    assert is_exposed(file) is exposed
    hotkey_password(file, {})
    assert bool(lines) is exposed
    assert not [line for line in lines if "s3cret" in line]


def test_what_systemd_and_docker_hand_out_has_their_mode(file: Path, lines: list[str], tmp_path: Path) -> None:
    file.chmod(0o444)
    assert hotkey_password(file, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert lines == []
    assert not is_exposed(Path("/run/secrets/hotkey_password"))
    assert is_exposed(file, "/run/credentials/another.service")


def test_an_encrypted_hotkey_signs(made: Path, file: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = Settings(wallet=WalletSettings(name="cold", hotkey="hot", path=made, hotkey_password_file=file))
    wallet = open_wallet(settings)
    assert wallet.hotkey.verify(b"message", wallet.sign(b"message"))
    shown = f"{wallet!r} {settings!r} {lines}"
    assert "s3cret" not in shown


def test_a_wrong_password_is_one_sentence(made: Path) -> None:
    with pytest.raises(OperatorError, match=r"^Wrong password for hotkey \S+: correct WALLET_") as caught:
        load_wallet("cold", "hot", str(made), Secret("s3cret mistake"))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_password_says_how_to_give_one(made: Path) -> None:
    with pytest.raises(OperatorError, match=r"is encrypted .* with --wallet\.hotkey_password_file, or restore it"):
        load_wallet("cold", "hot", str(made))


def test_without_the_password_the_doctor_takes_the_running_miners_word(made: Path) -> None:
    settings = Settings(wallet=WalletSettings(name="cold", hotkey="hot", path=made))
    check, wallet = check_hotkey(settings, running=True)
    assert (check.mark, wallet) == (Mark.SKIPPED, None)
    with pytest.raises(OperatorError, match="is encrypted"):
        check_hotkey(settings)


def test_a_hotkey_that_is_not_encrypted_needs_none(tmp_path: Path) -> None:
    Wallet("cold", "hot", str(tmp_path)).create_new_hotkey(suppress=True)
    assert load_wallet("cold", "hot", str(tmp_path), Secret("unused")).sign(b"x")


def test_the_doctor_looks_at_the_mode(tmp_path: Path, file: Path) -> None:
    shutil.rmtree(tmp_path / "w", ignore_errors=True)
    Wallet("cold", "hot", str(tmp_path / "w")).create_new_hotkey(suppress=True)
    settings = Settings(
        wallet=WalletSettings(name="cold", hotkey="hot", path=tmp_path / "w", hotkey_password_file=file)
    )
    assert check_hotkey(settings)[0].mark is Mark.OK
    file.chmod(0o644)
    check, _ = check_hotkey(settings)
    assert (check.mark, check.remedy) == (Mark.WARNING, f"chmod 600 {file}")


def test_never_a_flag_and_never_silently_in_miner_env(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(["--wallet.hotkey_password", "s3cret"], {}, cwd=tmp_path, warn=print)
    assert "s3cret" not in str(caught.value)
    (unknown,) = unknown_names({VARIABLE: "s3cret"}, "miner.env")
    assert f"{VARIABLE}_FILE" in unknown.sentence
    assert "s3cret" not in unknown.sentence
