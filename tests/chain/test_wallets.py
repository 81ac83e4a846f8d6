"""Loading keys from files, with each sentence an operator may see."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from bittensor import Wallet

from streetvision.chain.wallets import PASSWORD_VARIABLE, dev_wallet, load_wallet
from streetvision.errors import OperatorError


@pytest.fixture(autouse=True)
def no_password_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PASSWORD_VARIABLE, f"{PASSWORD_VARIABLE}_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wallet folder with an encrypted coldkey; made once, as encrypting takes seconds."""
    folder = tmp_path_factory.mktemp("wallets")
    wallet = Wallet("cold", "hot", str(folder))
    wallet.create_new_coldkey(coldkey_password="right", suppress=True)
    wallet.create_new_hotkey(suppress=True)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "w")
    return tmp_path / "w"


def test_a_hotkey_signs_and_its_coldkey_stays_shut(folder: Path) -> None:
    (folder / "cold" / "coldkey").unlink()
    wallet = load_wallet("cold", "hot", str(folder))
    assert wallet.hotkey.verify(b"message", wallet.sign(b"message"))
    assert (wallet.name, wallet.hotkey_name) == ("cold", "hot")
    assert "right" not in repr(wallet)


def test_a_missing_hotkey_names_the_file_and_the_command(folder: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        load_wallet("cold", "other one", str(folder))
    assert str(folder / "cold" / "hotkeys" / "other one") in str(caught.value)
    command = f"btcli wallet new-hotkey --wallet cold --wallet-hotkey 'other one' --wallet-path {folder}"
    assert command in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{not json", b"\xff\xfe\x00"])
def test_a_corrupt_hotkey(folder: Path, content: bytes) -> None:
    (folder / "cold" / "hotkeys" / "hot").write_bytes(content)
    with pytest.raises(
        OperatorError, match=r"holds no usable private key .*: restore it with `btcli wallet regen-hotkey"
    ):
        load_wallet("cold", "hot", str(folder))


def test_a_public_key_is_no_hotkey(folder: Path) -> None:
    hotkeys = folder / "cold" / "hotkeys"
    shutil.copy(hotkeys / "hotpub.txt", hotkeys / "hot")
    with pytest.raises(OperatorError, match="holds no usable private key"):
        load_wallet("cold", "hot", str(folder))


def test_an_encrypted_hotkey(folder: Path) -> None:
    shutil.copy(folder / "cold" / "coldkey", folder / "cold" / "hotkeys" / "hot")
    with pytest.raises(OperatorError, match="is encrypted and the miner signs unattended"):
        load_wallet("cold", "hot", str(folder))


@pytest.mark.parametrize("name", ["a/b/c", "cold/hot", "../cold", "/cold", "..", ".", "", "a\0b"])
def test_an_impossible_name(name: str, folder: Path) -> None:
    sentence = re.escape(f"{name!r} is no wallet name: a name has no slashes. Give the bare name with --wallet.name")
    with pytest.raises(OperatorError, match=sentence):
        load_wallet(name, "hot", str(folder))
    with pytest.raises(OperatorError, match=re.escape(f"{name!r} is no hotkey name: a name has no slashes.")):
        load_wallet("cold", name, str(folder))


@pytest.mark.parametrize(("name", "hotkey"), [("//Miner", "default"), ("cold", "//Miner")])
def test_a_development_key_is_not_named(name: str, hotkey: str, folder: Path) -> None:
    with pytest.raises(OperatorError, match=r"'//Miner' is no .* name: development keys have no files"):
        load_wallet(name, hotkey, str(folder))


def test_a_missing_coldkey(folder: Path) -> None:
    (folder / "cold" / "coldkey").unlink()
    with pytest.raises(OperatorError, match=r"Coldkey file .* does not exist and registering needs it"):
        load_wallet("cold", "hot", str(folder)).unlock_coldkey()


def test_a_corrupt_coldkey(folder: Path) -> None:
    (folder / "cold" / "coldkey").write_text("{nothing")
    with pytest.raises(OperatorError, match=r"Coldkey file .* holds no usable private key"):
        load_wallet("cold", "hot", str(folder)).unlock_coldkey()


def test_the_right_password_from_the_prompt(folder: Path) -> None:
    asked: list[str] = []

    def prompt(text: str) -> str:
        asked.append(text)
        return "right"

    coldkey = load_wallet("cold", "hot", str(folder)).unlock_coldkey(prompt)
    assert coldkey.sign(b"x")
    assert asked == ["Password of coldkey cold: "]


def test_a_wrong_password_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret-mistake")
    with pytest.raises(OperatorError, match="Wrong password for coldkey") as caught:
        load_wallet("cold", "hot", str(folder)).unlock_coldkey()
    assert "s3cret-mistake" not in str(caught.value)
    assert PASSWORD_VARIABLE not in os.environ  # no child process inherits it


def test_no_password_at_all(folder: Path) -> None:
    with pytest.raises(OperatorError, match=f"no password was given: set {PASSWORD_VARIABLE}"):
        load_wallet("cold", "hot", str(folder)).unlock_coldkey()


def test_an_unreadable_password_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PASSWORD_VARIABLE}_FILE", str(folder / "absent"))
    with pytest.raises(OperatorError, match="wallet password cannot be read"):
        load_wallet("cold", "hot", str(folder)).unlock_coldkey()


def test_the_development_key_has_a_coldkey_of_its_own() -> None:
    wallet = dev_wallet()
    assert wallet.is_development
    assert wallet.unlock_coldkey().ss58_address != wallet.ss58_address
