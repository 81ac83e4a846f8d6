"""Settings: precedence, parsing, sentences, and the generated texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.errors import ConfigError
from streetvision.settings.fields import setting_fields
from streetvision.settings.loading import load_settings, render_env_example, render_settings_table
from streetvision.settings.settings import Settings

ROOT = Path(__file__).parents[2]


def load(*argv: str, environ: dict[str, str] | None = None, cwd: Path, warnings: list[str] | None = None) -> Settings:
    sink = [] if warnings is None else warnings
    return load_settings(argv, environ or {}, cwd=cwd, warn=sink.append)


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("NETUID=1\nMINER_AXON_PORT=1001\nWALLET_NAME=file\n")
    environ = {"NETUID": "2", "MINER_AXON_PORT": "1002"}
    settings = load("--netuid", "3", environ=environ, cwd=tmp_path)
    assert (settings.netuid, settings.axon_port, settings.wallet_name) == (3, 1002, "file")


def test_environment_beats_file_across_alias_names(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("MINER_AXON_PORT=1001\n")
    assert load(environ={"BT_AXON_PORT": "1002"}, cwd=tmp_path).axon_port == 1002


def test_ecosystem_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text(
        "NETUID=323\nWALLET_NAME=cold\nWALLET_HOTKEY=hot\nSUBTENSOR_NETWORK=test\n"
        "SUBTENSOR_CHAIN_ENDPOINT=wss://a:443, wss://b:443\nMINER_AXON_PORT=9000\nBLACKLIST_FORCE_VALIDATOR_PERMIT=False\n"
        "MODEL_URL=bundled\nBT_AXON_EXTERNAL_IP=203.0.113.7\nBT_AXON_EXTERNAL_PORT=9001\nBT_AXON_IP=127.0.0.1\n"
    )
    settings = load(cwd=tmp_path)
    assert settings.endpoints == ("wss://a:443", "wss://b:443")
    assert settings.blacklist_force_validator_permit is False
    assert (settings.axon_ip, settings.axon_external_ip, settings.axon_external_port) == (
        "127.0.0.1",
        "203.0.113.7",
        9001,
    )
    assert (settings.model, settings.wallet_hotkey, settings.netuid) == ("bundled", "hot", 323)


@pytest.mark.parametrize(
    ("argv", "expected"), [((), True), (("--blacklist.force_validator_permit",), True),
                           (("--blacklist.force_validator_permit", "false"), False)]
)  # fmt: skip
def test_switches_take_an_optional_value(argv: tuple[str, ...], expected: bool, tmp_path: Path) -> None:
    assert load(*argv, cwd=tmp_path).blacklist_force_validator_permit is expected


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--axon.port", "70000"], "--axon.port: 70000 is not between"),
        (["--axon.port", "http"], "'http' is not a whole number"),
        (["--axon.ip", "localhost"], "--axon.ip: 'localhost' does not appear to be"),
        (["--register", "steal"], "--register: 'steal' is not one of"),
        (["--register", "burn"], "--register.max_burn"),
        (["--axon.deadline_margin", "nan"], "--axon.deadline_margin"),
        (["--subtensor.network", "fin"], "'fin' is neither one of finney"),
        (["--subtensor.chain_endpoint", "http://x"], "'http://x' is not a ws://"),
        (["--subtensor.network", "mock", "--subtensor.chain_endpoint", "ws://x:1"], "the mock network has no endpoint"),
        (["--blacklist.min_stake", "-1"], "is not between 0"),
        (["--logging.debug", "perhaps"], "neither true nor false"),
        (["--wallet"], "--wallet is no flag of the miner (did you mean --wallet.path?)"),
        (["--env_file", "/nonexistent/miner.env"], "create it from miner.env.example"),
    ],
)
def test_bad_values_get_one_sentence(argv: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*argv, cwd=tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_file_value_names_variable_and_file(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("NETUID=seventy-two\n")
    with pytest.raises(ConfigError, match=r"NETUID in miner\.env: 'seventy-two' is not a whole number"):
        load(cwd=tmp_path)


def test_unreadable_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_bytes(b"NETUID=\xff\xfe\n")
    with pytest.raises(ConfigError, match="cannot read"):
        load(cwd=tmp_path)


def test_misspelt_names_are_reported_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("LOG_MAX_GB=5\nZZZ=1\n")
    warnings: list[str] = []
    load(cwd=tmp_path, warnings=warnings)
    assert warnings == [
        "LOG_MAX_GB in miner.env is not a setting (did you mean LOG_MAX_GIB?); ignored",
        "ZZZ in miner.env is not a setting; ignored",
    ]


def test_empty_values_mean_unset(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("NETUID=\n")
    assert load(environ={"MINER_AXON_PORT": ""}, cwd=tmp_path) == Settings()


def test_env_example_is_current_and_round_trips(tmp_path: Path) -> None:
    text = render_env_example()
    assert (ROOT / "miner.env.example").read_text() == text
    (tmp_path / "miner.env").write_text(
        "\n".join(line[1:] if line.startswith("#") and line[1:2] != " " else line for line in text.splitlines())
    )
    assert load(cwd=tmp_path) == Settings()


def test_settings_page_is_current() -> None:
    assert render_settings_table() in (ROOT / "docs" / "settings.md").read_text()


def test_names_are_unique() -> None:
    names = [name for item in setting_fields() for name in item.metadata["env"]]
    flags = [item.metadata["flag"] for item in setting_fields()]
    assert len(set(names)) == len(names)
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b'NETUID=72\nWALLET_NAME="cold\nWALLET_HOTKEY=hot\n',
            "cannot be read from line 2 on: write NAME=value and close",
        ),
        (b"NETUID=72\n= 3\n", "cannot be read from line 2 on"),
        (b"X=" + b"x" * (1 << 20), "is too large for a settings file: move it away, or name another with --env_file"),
        ("NETUID=72\n".encode("utf-16"), "it is not a text file; move it away, or name another with --env_file"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_not_read_in_part(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert says in str(caught.value)


def test_a_file_of_another_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_bytes(
        b"\xef\xbb\xbfNETUID = 11\r\nexport WALLET_NAME= 'cold' # mine\r\nNETUID=12\r\n"
    )
    settings = load_settings([], {}, cwd=tmp_path, warn=pytest.fail)
    assert (settings.netuid, settings.wallet_name) == (12, "cold")
