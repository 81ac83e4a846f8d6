"""A fleet's file as it is written is read back, from hotkeys alone and from a single miner's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.errors import ConfigError
from streetvision.fleet.fleet_file import load_fleet
from streetvision.fleet.writing import Draft, draft, render, table_name


def test_a_miner_for_each_hotkey(tmp_path: Path) -> None:
    found = draft({"wallet.name": "cold", "axon.port": "9000"}, ["hot1", "hot 2"], {})
    assert render(found).partition("\n\n")[2] == (
        '[shared]\nwallet.name = "cold"\nlog.max_gib = 10\n\n[miners.hot1]\naxon.port = 9000\n\n'
        '[miners.hot-2]\nwallet.hotkey = "hot 2"\naxon.port = 9001\n'
    )


def test_a_single_miner_becomes_the_first_and_keeps_its_place(tmp_path: Path) -> None:
    former = {
        "wallet.name": "cold", "wallet.hotkey": "old", "axon.port": "8095", "state_dir": "/srv/old",
        "axon.external_port": "80", "metrics.port": "9300", "metrics.address": "127.0.0.2", "threads": "2",
        "model": "1.2.0", "model.repo": "me/street", "alerts.name": "my miner", "device": "cpu",
        "alerts.discord_url": "https://discord.com/api/webhooks/1/secret",
    }  # fmt: skip
    found = draft({"device": "cuda:1"}, ["a", "old", "z"], former)
    file = tmp_path / "fleet.toml"
    file.write_text(render(found))
    fleet = load_fleet(file, {})
    assert (fleet.port, fleet.address) == (9300, "127.0.0.2")
    old, a, z = fleet.members
    assert [member.name for member in fleet.members] == ["old", "a", "z"]
    assert (old.folder, old.settings.axon.port, old.settings.axon.external_port) == (Path("/srv/old"), 8095, 80)
    assert old.settings.alerts.name == "my miner"
    assert (a.settings.axon.port, z.settings.axon.port, a.settings.axon.external_port) == (8096, 8097, 0)
    assert a.settings.alerts.discord_url.reveal().endswith("secret")
    assert (a.settings.model.choice, a.settings.model.repo, a.settings.device) == ("1.2.0", "me/street", "cuda:1")
    assert "secret" not in render(found, hide=True)
    assert old.folder != a.folder


def test_a_single_miner_with_the_usual_folder_keeps_it() -> None:
    found = draft({}, ["default", "b"], {"netuid": "72"})
    assert found.miners["default"]["state_dir"] == "~/.streetvision"
    assert "state_dir" not in found.miners["b"]


def test_two_hotkeys_with_one_tables_name() -> None:
    with pytest.raises(ConfigError, match="would have the same table"):
        draft({}, ["a b", "a.b"], {})
    assert table_name("a.b/ü") == "a-b--"


def test_a_value_that_no_quotes_can_carry() -> None:
    with pytest.raises(ConfigError, match="control characters"):
        render(Draft({"alerts.name": "a\nb"}, {}))
    assert 'alerts.name = "q\\" \\\\ ü"' in render(Draft({"alerts.name": 'q" \\ ü'}, {}))
