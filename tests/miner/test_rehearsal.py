"""The mock network in a folder whose miner.env is that of the real miner."""

from __future__ import annotations

from pathlib import Path

import pytest
from bittensor import Wallet
from loguru import logger

from streetvision.chain.hotkey_file import NoHotkeyFile
from streetvision.miner.from_settings import open_wallet, serving_wallet
from streetvision.miner.miner import Miner
from streetvision.settings.loading import load_settings
from streetvision.settings.network import WalletSettings
from streetvision.settings.settings import Settings

REAL = "SUBTENSOR_NETWORK=finney\nSUBTENSOR_CHAIN_ENDPOINT=ws://10.0.0.7:9944\nWALLET_NAME=cold\nWALLET_HOTKEY=hot\n"


def settings_in(folder: Path, checkpoint: Path) -> Settings:
    """What a rehearsal in a folder reads."""
    (folder / "miner.env").write_text(f"{REAL}WALLET_PATH={folder}/wallets\nMODEL={checkpoint}\nDEVICE=cpu\n")
    flags = ("--subtensor.network", "mock", "--axon.port", "0", "--axon.ip", "127.0.0.1", "--compile", "false")
    return load_settings((*flags, "--state_dir", str(folder / "state")), {}, cwd=folder, warn=lambda _: None)


def test_without_the_named_hotkey_a_development_key_serves(tmp_path: Path, checkpoint: Path) -> None:
    settings = settings_in(tmp_path, checkpoint)
    said: list[str] = []
    logger.add(said.append, format="{message}", level="WARNING")
    assert serving_wallet(settings).name == "//Miner"
    assert said == ["wallet cold/hot has no hotkey here: //Miner serves in its place on the mock network\n"]
    with pytest.raises(NoHotkeyFile, match="create it with"):
        open_wallet(settings)


def test_on_a_real_network_the_hotkey_must_be_here(tmp_path: Path) -> None:
    with pytest.raises(NoHotkeyFile):
        serving_wallet(Settings(wallet=WalletSettings(name="cold", path=tmp_path)))


async def test_the_named_hotkey_is_the_miner_on_the_mock_network(tmp_path: Path, checkpoint: Path) -> None:
    Wallet("cold", "hot", str(tmp_path / "wallets")).create_new_hotkey(use_password=False, overwrite=True)
    settings = settings_in(tmp_path, checkpoint)
    miner = Miner(settings)
    await miner.start()
    try:
        assert miner.wallet.name == "cold"
        assert await miner.chain.uid_of(miner.wallet.ss58_address) == 4
    finally:
        await miner.close()
