"""A fleet's file: what it says, and one sentence for everything in it that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.errors import ConfigError
from streetvision.fleet.fleet_file import LONGEST_FILE, find_file, ignored_variables, load_fleet

from .conftest import THREE, Write


def test_a_miner_has_its_own_settings_over_the_shared_ones_over_the_defaults(write: Write, folder: Path) -> None:
    text = THREE + 'log.max_gib = 3\nwallet.hotkey = "other"\n"model.repo" = "me/street"\nmodel = "1.2.0"\n'
    fleet = load_fleet(write(text), {})
    first, _, last = fleet.members
    assert (first.settings.log.max_gib, last.settings.log.max_gib) == (1.0, 3.0)
    assert (first.settings.wallet.names[1], last.settings.wallet.names[1]) == ("hot1", "other")
    assert (first.settings.model.choice, last.settings.model.choice, last.settings.model.repo) == (
        "", "1.2.0", "me/street",
    )  # fmt: skip
    assert first.folder == folder / "s" / "hot1"
    assert (first.settings.http_port, first.settings.alerts.name) == (0, "hot1")
    assert first.settings.is_mock


def test_any_setting_passes_and_secrets_come_from_the_environment_too(write: Write) -> None:
    environ = {"ALERTS_DISCORD_URL": "https://discord.com/api/webhooks/1/secret", "MINER_AXON_PORT": "9"}
    fleet = load_fleet(write(), environ)
    assert fleet.members[0].settings.alerts.discord_url.reveal().endswith("secret")
    assert fleet.members[0].settings.axon.port == 18091
    assert "alerts.discord_url" not in fleet.members[0].texts, "it is written to no file"
    assert ignored_variables(environ) == ["MINER_AXON_PORT"]


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        ("axon.prt = 5", "axon.prt in [miners.hot3] of fleet.toml is no setting of a miner (did you mean axon.port?)"),
        ("axon.external_port = 70000", "axon.external_port in [miners.hot3] of fleet.toml: 70000 is not between"),
        ("axon.external_port = [1]", "must be a text, a number, true or false"),
        ('state_dir = "here"', "write the whole path instead of 'here'"),
        ('state_dir = "~nobody-here/x"', "names the home of a user that does not exist"),
        ('"axon.port" = 5', "axon.port stands twice in [miners.hot3]"),
        ("[shred]", "'shred' is no table of fleet.toml (did you mean shared?)"),
        ("[miners.hot1]", "is no TOML"),
        ('[miners."a b"]\naxon.port = 7', "'a b' in fleet.toml is no name for a miner"),
        ('[miners."../x"]\naxon.port = 7', "is no name for a miner"),
        ("[miners.hot4]", "names no axon.port: give each miner a port of its own"),
        ("[miners]\nhot4 = 3", "miners.hot4 in fleet.toml must be a table"),
        ('register = "burn"', "--register burn spends TAO"),
        ("wallet.name = 1\nwallet = 2", "is no TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(write: Write, added: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_fleet(write(f"{THREE}{added}\n"), {})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("port = 0", "prt = 0", "'prt' is no setting in [fleet] of fleet.toml (did you mean port?)"),
        ("port = 0", 'port = "x"', "port in [fleet] of fleet.toml: 'x' is not a whole number"),
        ("port = 0", 'address = "nowhere"', "address in [fleet] of fleet.toml:"),
        (THREE, "shared = 3", "shared in fleet.toml must be a table"),
        (THREE, "miners.hot1 = 3", "miners.hot1 in fleet.toml must be a table"),
        (THREE, "[shared]", "names 0 miners: give each a table, such as [miners.hot1]"),
        (THREE, "[[[", "is no TOML"),
        ('"{folder}"', f'"/{"x" * 110}"', "too long a path for the sockets in it: name a shorter state_dir in [fleet]"),
        ("[miners.hot2]", f'state_dir = "/{"x" * 95}"\n[miners.hot2]', "name a shorter state_dir in [miners.hot1]"),
        (THREE, "a = " + "[" * 5000, "is no TOML"),
        (THREE, "#" * (LONGEST_FILE + 1), "is too large"),
    ],
)  # fmt: skip
def test_a_mistake_elsewhere_is_one_sentence(write: Write, before: str, after: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_fleet(write(THREE.replace(before, after, 1)), {})
    assert sentence in str(error.value)


def test_a_file_that_is_not_there_or_no_text(write: Write, folder: Path) -> None:
    with pytest.raises(ConfigError, match="streetvision fleet init"):
        load_fleet(folder / "nothing.toml", {})
    (folder / "fleet.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="it is not a text file"):
        load_fleet(folder / "fleet.toml", {})
    with pytest.raises(ConfigError, match="cannot read"):
        load_fleet(folder, {})


def test_the_file_is_named_or_the_variables_or_the_folders(folder: Path) -> None:
    assert find_file(folder / "x.toml", {"FLEET_FILE": "/etc/y.toml"}, Path("/here")) == folder / "x.toml"
    assert find_file(None, {"FLEET_FILE": "/etc/y.toml"}, Path("/here")) == Path("/etc/y.toml")
    assert find_file(None, {}, Path("/here")) == Path("/here/fleet.toml")


def test_a_miner_is_asked_for_by_its_name(write: Write) -> None:
    fleet = load_fleet(write(), {})
    assert fleet.member("hot2").settings.axon.port == 18092
    with pytest.raises(ConfigError, match=r"no miner 'hot' \(did you mean hot3\?\); it has hot1, hot2, hot3"):
        fleet.member("hot")
