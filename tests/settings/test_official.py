"""Coming from the official miner: its flags and variables, its scripts, and misspelt names of ours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.env_file import read_former
from streetvision.settings.fields import SETTINGS, setting, variables
from streetvision.settings.loading import load_settings
from streetvision.settings.official import BY_FLAG, BY_VARIABLE, NAMES, WHOM
from streetvision.settings.official_source import NO_PERMIT, PERMIT_FALSE, read_official, translated
from streetvision.settings.rendering import render_official_table
from streetvision.settings.settings import Settings
from streetvision.settings.shell_text import LONGEST_VALUE, ShellText

ROOT = Path(__file__).parents[2]
NODE = "ws://10.0.0.7:9944"


def load(folder: Path, *argv: str, file: str = "", environ: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings and the warnings."""
    (folder / "miner.env").write_text(file)
    warnings: list[str] = []
    return load_settings(argv, environ or {}, cwd=folder, warn=warnings.append), warnings


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_entry_has_a_fate() -> None:
    for entry in NAMES:
        assert entry.flag or entry.env
        assert (entry.read is None) == bool(entry.why), entry
        assert not (entry.refused and entry.read), entry
        if entry.ours is not None:
            setting(entry.ours)
        if entry.whom:  # none of these is passed over
            assert entry.refused or entry.ours in WHOM, entry


def test_official_names_are_not_ours() -> None:
    assert not set(BY_FLAG) & {item.flag for item in SETTINGS}
    assert set(BY_VARIABLE) & set(variables()) == {"MODEL_URL"}  # official where it holds an address
    assert sum(len(entry.env) for entry in NAMES) == len(BY_VARIABLE)


def test_the_page_has_the_table() -> None:
    assert render_official_table() in (ROOT / "docs" / "migrating.md").read_text()


@pytest.mark.parametrize("entry", [entry for entry in NAMES if entry.env], ids=lambda entry: entry.env[0])
def test_a_variable_is_read_passed_over_or_refused_but_never_silently(entry: object, tmp_path: Path) -> None:
    name = entry.env[0]  # type: ignore[attr-defined]
    values = {"subtensor.chain_endpoint": NODE, "subtensor.network": "test", "device": "cpu", "axon.port": "9000"}
    values |= {"axon.ip": "127.0.0.1", "axon.external_ip": "203.0.113.7", "axon.external_port": "9001"}
    text = values.get(BY_VARIABLE[name].ours or "", "x")
    if "MODEL_URL" in name:
        text = "https://huggingface.co/me/roads"
    if BY_VARIABLE[name].ours == "logging.debug" or "MOCK" in name:
        text = "true"
    if BY_VARIABLE[name].refused:
        with pytest.raises(ConfigError, match=f"{name} in miner.env"):
            load(tmp_path, file=f"{name}={text}\n")
        return
    _, warnings = load(tmp_path, file=f"{name}={text}\n")
    assert [warning for warning in warnings if warning.startswith(f"{name} in miner.env")] == warnings
    assert len(warnings) == 1


@pytest.mark.parametrize("flag", BY_FLAG)
def test_a_flag_is_read_passed_over_or_refused_but_never_silently(flag: str, tmp_path: Path) -> None:
    entry = BY_FLAG[flag]
    text = {"device": "cpu", "subtensor.network": "true", "logging.debug": "true"}.get(entry.ours or "", "x")
    if entry.refused:
        with pytest.raises(ConfigError, match=rf"{flag} is the official miner's: .*streetvision init --from"):
            load(tmp_path, flag, text)
        return
    _, warnings = load(tmp_path, f"{flag}={text}")
    assert len(warnings) == 1
    assert warnings[0].startswith(flag)


# -- what changes whom we talk to --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CHAIN_ENDPOINT", "BT_SUBTENSOR_CHAIN_ENDPOINT"])
def test_a_node_by_its_official_name_is_called(name: str, tmp_path: Path) -> None:
    settings, warnings = load(tmp_path, file=f"{name}={NODE}\n")
    assert settings.subtensor.endpoints == (NODE,)
    assert warnings == [f"{name} in miner.env is the official miner's; it is read as --subtensor.chain_endpoint"]
    settings, warnings = load(tmp_path, environ={name: NODE})
    assert settings.subtensor.endpoints == (NODE,)
    assert len(warnings) == 1


def test_wallets_by_their_official_names(tmp_path: Path) -> None:
    settings, _ = load(tmp_path, file="BT_WALLET_NAME=cold\nBT_WALLET_HOTKEY=hot\nBT_WALLET_PATH=/w\n")
    assert (settings.wallet.name, settings.wallet.hotkey, str(settings.wallet.path)) == ("cold", "hot", "/w")


@pytest.mark.parametrize(
    ("file", "argv"),
    [
        (f"CHAIN_ENDPOINT={NODE}\nSUBTENSOR_CHAIN_ENDPOINT=wss://other:443\n", ()),
        ("MINER_AXON_PORT=8091\nBT_AXON_PORT=9000\n", ()),
        ("MODEL_URL=1.1.0\nMODEL=1.2.0\n", ()),
        ("MODEL_URL=https://huggingface.co/me/one\nMODEL_REPO=me/two\n", ()),
        ("", ("--device", "cpu", "--neuron.device", "cuda")),
    ],
)
def test_names_that_contradict_each_other_end_the_start(file: str, argv: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contradict each other"):
        load(tmp_path, *argv, file=file)


def test_names_that_agree_are_fine(tmp_path: Path) -> None:
    settings, _ = load(tmp_path, file=f"CHAIN_ENDPOINT={NODE}\nSUBTENSOR_CHAIN_ENDPOINT={NODE}\n")
    assert settings.subtensor.endpoints == (NODE,)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("WALLET_HOTKY=hot", "did you mean WALLET_HOTKEY?"),
        ("NETUIDS=323", "did you mean NETUID?"),
        ("SUBTENSOR_URL=ws://x:1", "SUBTENSOR_URL in miner.env is not a setting"),
        ("CHAIN_URL=ws://x:1", "CHAIN_URL in miner.env is not a setting"),
        ("HOTKEY=hot", "HOTKEY in miner.env is not a setting"),
        ("network=test", "network in miner.env is not a setting"),
        ("MINER_AXON_PROT=9000", "did you mean MINER_AXON_PORT?"),
    ],
)
def test_a_misspelt_name_that_says_whom_we_talk_to_ends_the_start(line: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whom the miner talks to") as caught:
        load(tmp_path, file=f"{line}\n")
    assert says in str(caught.value)


@pytest.mark.parametrize("line", ["AXON_MAX_BODY_MB=5", "WALLET_PASSWORD=x", "WALLET_HOTKY=", "AWS_ENDPOINT_URL=x"])
def test_other_unknown_names_are_told(line: str, tmp_path: Path) -> None:
    _, warnings = load(tmp_path, file=f"{line}\n")
    assert len(warnings) == 1
    assert warnings[0].endswith("; ignored")


def test_misspelt_names_in_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"WALLET_HOTKEYS in the environment .*did you mean WALLET_HOTKEY"):
        load(tmp_path, environ={"WALLET_HOTKEYS": "hot"})
    _, warnings = load(tmp_path, environ={"ALERTS_DISCORD_ULR": "x", "PATH": "/bin", "LOG_LEVEL": "1", "MODELS": "x"})
    assert warnings == [
        "ALERTS_DISCORD_ULR in the environment is not a setting (did you mean ALERTS_DISCORD_URL?); ignored"
    ]
    assert load(tmp_path, environ={"WANDB_API_KEY": "x", "BT_WALLET_PASSWORD": "x"})[1] == []


def test_a_network_from_a_flag_and_a_node_from_the_file_are_one_choice(tmp_path: Path) -> None:
    file = f"SUBTENSOR_NETWORK=finney\nSUBTENSOR_CHAIN_ENDPOINT={NODE}\n"
    settings, warnings = load(tmp_path, "--subtensor.network", "mock", file=file)
    assert settings.is_mock
    assert warnings == [
        "SUBTENSOR_CHAIN_ENDPOINT in miner.env has no effect: --subtensor.network names another network"
    ]
    with pytest.raises(ConfigError, match="a node that would win over it"):
        load(tmp_path, "--subtensor.network", "test", file=file)
    assert load(tmp_path, "--subtensor.network", "finney", file=file)[0].subtensor.endpoints == (NODE,)
    assert load(tmp_path, "--subtensor.network", "test", "--subtensor.chain_endpoint", "ws://t:1", file=file)[
        0
    ].subtensor.endpoints == ("ws://t:1",)


# -- models, devices, words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model", "repo"),
    [
        ("https://huggingface.co/me/roads", "", "me/roads"),
        ("https://huggingface.co/me/roads/tree/main/", "", "me/roads"),
        ("1.2.0", "1.2.0", ""),
        ("hf:me/roads@v1", "hf:me/roads@v1", ""),
    ],
)
def test_the_official_model_url_names_a_repository(text: str, model: str, repo: str, tmp_path: Path) -> None:
    settings, _ = load(tmp_path, file=f"MODEL_URL={text}\n")
    assert (settings.model.choice, settings.model.repo) == (model, repo)
    settings, _ = load(tmp_path, "--model_url", text)
    assert (settings.model.choice, settings.model.repo) == (model, repo)


def test_an_address_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"MODEL_URL in miner\.env: the address is that of no repository"):
        load(tmp_path, file="MODEL_URL=https://example.com/me/roads\n")


def test_none_means_unset(tmp_path: Path) -> None:
    settings, warnings = load(tmp_path, "--neuron.image_detector", "None", "--neuron.image_detector_device=none")
    assert (settings, warnings) == (Settings(), [])


@pytest.mark.parametrize("flag", ["--axon.external-ip", "--axon.external_ip"])
def test_dashes_and_underscores_are_same_value(flag: str, tmp_path: Path) -> None:
    assert load(tmp_path, flag, "203.0.113.7")[0].axon.external_ip == "203.0.113.7"
    assert load(tmp_path, f"{flag}=203.0.113.7")[0].axon.external_ip == "203.0.113.7"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--wallet.hotky", "x"), "--wallet.hotky is no flag of the miner (did you mean --wallet.hotkey?)"),
        (("--no-log.enabled",), "did you mean --log.enabled false?"),
        (("--no_compile",), "did you mean --compile false?"),
        (("mine",), "'mine' belongs to no flag"),
        (("--nonsense.flag", "-1", "more"), "--nonsense.flag is no flag of the miner"),
        (("-v",), "-v is no flag of the miner"),
        (("--neuron.device", "--netuid", "3"), "--neuron.device expects a value"),
        (("--netuid",), "--netuid: expected one argument"),
    ],
)
def test_an_unknown_flag_gets_the_nearest(argv: tuple[str, ...], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *argv)
    assert says in str(caught.value)
    assert "lists the flags" in str(caught.value)


def test_all_refusals_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "--neuron.image_detector", "ViT", "--proxy.proxy_client_url", "https://x", "--config", "c.yaml")
    for flag in ("--neuron.image_detector", "--proxy.proxy_client_url", "--config"):
        assert f"{flag} is the official miner's" in str(caught.value)
    assert "\n" not in str(caught.value)


# -- reading scripts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", [["a", "b", "c"]]),
        ("a 'b c' \"d $X\" '$X'", [["a", "b c", "d one", "$X"]]),
        ("a # don't\nb", [["a"], ["b"]]),
        ("a#b", [["a#b"]]),
        ("a \\\n  b \\\r\n c", [["a", "b", "c"]]),
        ("a; b && c | d & e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("a > log 2>&1 &", [["a"]]),
        ("a &> log b", [["a", "b"]]),
        ("a < in >> out b2", [["a", "b2"]]),
        ("$X ${X} ${NONE:-d} ${NONE-d} ${X:-d} ${NONE:=d}", [["one", "one", "d", "d", "one", "d"]]),
        ('$NONE $NONE. A=$NONE "$NONE" ${NONE:-$X}', [["", "${NONE}.", "A=", "", "${NONE:-one}"]]),
        ("$HOME/x $'a b' $\"c d\"", [["~/x", "a b", "c d"]]),
        ("a # b \\\n c", [["a"], ["c"]]),
        ("a\\\nb \"c\\\nd\" 'e\\\nf'", [["a", "b", "cd", "e\\\nf"]]),
        ("\u200ba\u2060 b\ufeff", [["a", "b"]]),
        ('$MANY "$MANY" Y=$MANY', [["two", "words", "two words", "Y=two words"]]),
        ("a --flag= '' \"\"", [["a", "--flag=", "", ""]]),
        ("a$ b\\ c \\'d", [["a$", "b c", "'d"]]),
        ("'open", [["open"]]),
        ("$(rm -rf /) `date`", [["$(rm", "-rf", "/)", "`date`"]]),
    ],
)
def test_shell_words(text: str, words: list[list[str]]) -> None:
    assert list(ShellText(text, {"X": "one", "MANY": "two words"}).commands()) == words


def test_any_text_is_read_to_its_end() -> None:
    rng = random.Random(72)
    for _ in range(2000):
        text = "".join(rng.choices("ab=$ {}:-'\"\\\n#;&|<>()`12", k=rng.randrange(30)))
        for words in ShellText(text, {"a": "x y"}).commands():
            assert words


def test_values_made_of_values_do_not_grow_without_end(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text("NETUID=11\n" + "NETUID=$NETUID$NETUID\n" * 64)
    found = read_official([str(tmp_path / "miner.env")])
    assert len(found.variables["NETUID"]) <= LONGEST_VALUE
    assert list(ShellText("$X" * 10_000, {"X": "x" * 4096}).commands()) == [["x" * LONGEST_VALUE]]
    assert list(ShellText('"$X"' * 1000, {"X": "x" * 4096}).commands()) == [["x" * LONGEST_VALUE]]
    assert list(ShellText("${a:-" * 10_000, {}).commands())


TEMPLATE_ENV = """# Default options
IMAGE_DETECTOR=ViT                    # Options: ...
IMAGE_DETECTOR_CONFIG=ViT_roadwork.yaml
IMAGE_DETECTOR_DEVICE=cuda
VIDEO_DETECTOR=TALL
export NETUID=323                     # 323 for testnet
SUBTENSOR_NETWORK=test
SUBTENSOR_CHAIN_ENDPOINT=ws://10.0.0.7:9944
                                      # Endpoints:
WALLET_NAME="my cold"
WALLET_HOTKEY='hot'
MINER_AXON_PORT=9000
BLACKLIST_FORCE_VALIDATOR_PERMIT=True
MODEL_URL= # The URL
"""
TEMPLATE_SCRIPT = """#!/bin/bash
set -a
source miner.env
set +a
if pm2 list | grep -q "miner"; then
  pm2 delete miner
fi
export PYTHONPATH=$(pwd):$PYTHONPATH
pm2 start neurons/miner.py --name miner -- \\
  --neuron.image_detector ${IMAGE_DETECTOR:-None} \\
  --neuron.image_detector_device ${IMAGE_DETECTOR_DEVICE:-None} \\
  --netuid $NETUID \\
  --model_url $MODEL_URL \\
  --subtensor.network $SUBTENSOR_NETWORK \\
  --subtensor.chain_endpoint $SUBTENSOR_CHAIN_ENDPOINT \\
  --wallet.name "$WALLET_NAME" --wallet.hotkey=$WALLET_HOTKEY \\
  --axon.port $MINER_AXON_PORT \\
  --blacklist.force_validator_permit $BLACKLIST_FORCE_VALIDATOR_PERMIT \\
  --logging.debug
"""
FOUND = {
    "device": "cuda",
    "netuid": "323",
    "subtensor.network": "test",
    "subtensor.chain_endpoint": NODE,
    "wallet.name": "my cold",
    "wallet.hotkey": "hot",
    "axon.port": "9000",
    "blacklist.force_validator_permit": "True",
    "logging.debug": "true",
}


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A folder with an official settings file and start script."""
    folder = tmp_path / "official"
    folder.mkdir()
    (folder / "miner.env").write_text(TEMPLATE_ENV)
    (folder / "start_miner.sh").write_text(TEMPLATE_SCRIPT)
    return folder


def test_a_start_script_is_read_with_the_file_that_it_sources(official: Path) -> None:
    found, notes = translated(read_official([str(official / "start_miner.sh")]))
    assert found == FOUND
    assert any(note.startswith("--neuron.image_detector is the official miner's") for note in notes)
    assert NO_PERMIT not in notes
    assert translated(read_official([str(official)]))[0] == FOUND


def test_a_settings_file_alone(official: Path) -> None:
    found, _ = translated(read_official([str(official / "miner.env")]))
    assert found == {name: text for name, text in FOUND.items() if name != "logging.debug"}


@pytest.mark.parametrize(
    "command",
    [
        "pm2 start neurons/miner.py --name x -- --netuid 72 --wallet.name=cold",
        "pm2 start 'python neurons/miner.py --netuid 72 --wallet.name cold' --name x",
        "pm2 start python --name x -- neurons/miner.py --netuid 72 --wallet.name cold",
        "NETUID=72 WALLET_NAME=cold nohup python3 ~/subnet/neurons/miner.py > log 2>&1 &",
        "cd subnet && poetry run python neurons/miner.py --netuid 72 --wallet-name cold --wallet.name cold",
        'NETUID=72; python -m x; python neurons/miner.py --netuid $NETUID --wallet.name "cold" | tee log',
    ],
)
def test_commands(command: str) -> None:
    found, _ = translated(read_official([command]))
    assert (found["netuid"], found["wallet.name"]) == ("72", "cold")


def test_pm2s_own_options_are_not_the_miners() -> None:
    found = read_official(["pm2 start neurons/miner.py --name x --netuid 3"])
    assert found.flags == []


def test_the_permit_means_something_else_there() -> None:
    assert NO_PERMIT in translated(read_official(["python neurons/miner.py --netuid 72"]))[1]
    found, notes = translated(read_official(["python neurons/miner.py --blacklist.force_validator_permit False"]))
    assert PERMIT_FALSE in notes
    assert found["blacklist.force_validator_permit"] == "False"


def test_wrong_values_and_unknown_flags_are_told_and_left_out() -> None:
    found, notes = translated(
        read_official(["python neurons/miner.py --netuid seventy --axon.port 9000 --neuron.magic 3"])
    )
    assert found == {"axon.port": "9000"}
    assert "--netuid: 'seventy' is not a whole number; it is left out" in notes
    assert any("--neuron.magic is no flag" in note for note in notes)


def test_nothing_is_run(tmp_path: Path, official: Path) -> None:
    (official / "start_miner.sh").write_text(
        f"NETUID=$(touch {tmp_path}/ran)\nWALLET_NAME=`touch {tmp_path}/ran`\n"
        'python neurons/miner.py --netuid $NETUID --wallet.hotkey "$(hostname)"\n'
    )
    found, notes = translated(read_official([str(official / "start_miner.sh")]))
    assert not (tmp_path / "ran").exists()
    assert found == {}
    assert sum("only a shell could know the value; it is left out" in note for note in notes) == 3


WALLET = {"netuid": "72", "wallet.name": "cold"}
UNPRINTABLE = "the value holds control characters, or a quote is never closed; it is left out"
OF_A_SHELL = "only a shell could know the value; it is left out"


@pytest.mark.parametrize(
    ("text", "expected", "says"),
    [
        ("NETUID=72\r\nWALLET_NAME=cold\r\n", WALLET, ""),
        ("\ufeffNETUID=72\n\u200bWALLET_NAME=cold\n", WALLET, ""),
        ("NETUID = 72\nWALLET_NAME= cold\n", WALLET, ""),
        ("NETUID =72\nexport WALLET_NAME = 'cold'\n", WALLET, ""),
        ("NETUID\u00a0=\u00a072\nWALLET_NAME=\u00a0cold\n", WALLET, ""),
        ("declare -x NETUID=72\nif true; then WALLET_NAME=cold; fi\n", WALLET, ""),
        ('export "NETUID=72"\nWALLET_NAME=co\nWALLET_NAME+=ld\n', WALLET, ""),
        ("NETUID=11\nNETUID=72\nWALLET_NAME=a\nWALLET_NAME=cold\n", WALLET, ""),
        ("NETUID=72\nWALLET_PATH=$HOME/wallets\n", {"netuid": "72", "wallet.path": "~/wallets"}, ""),
        ("NETUID=72\nWALLET_NAME=miner_$HOST\n", {"netuid": "72"}, OF_A_SHELL),
        ("NETUID=72\nWALLET_NAME=${A:-${B:-cold}}\n", {"netuid": "72"}, OF_A_SHELL),
        ("NETUID=72\nWALLET_NAME=${A:?must be set}\n", {"netuid": "72"}, OF_A_SHELL),
        ('NETUID=72\nWALLET_NAME="cold\nWALLET_HOTKEY=hot\n', {"netuid": "72"}, UNPRINTABLE),
        ("NETUID=72\nWALLET_NAME=co\x1bld\n", {"netuid": "72"}, UNPRINTABLE),
    ],
)
def test_settings_files_as_people_write_them(text: str, expected: dict[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_text(text, newline="")
    found, notes = translated(read_official([str(tmp_path / "given")]))
    assert found == expected
    assert says in "".join(notes) if says else notes == []


UNIT = """[Service]
Environment=NETUID=72 "AXON_PORT=9000"
EnvironmentFile=-/gone/miner.env
ExecStart=/opt/venv/bin/python neurons/miner.py \\
  --wallet.name cold --wallet.hotkey %i
"""


@pytest.mark.parametrize(
    ("text", "expected", "says"),
    [
        ('bash -c "cd x; python neurons/miner.py --netuid 72 --wallet.name cold; echo done"', WALLET, ""),
        ("screen -dmS m bash -c 'A=1 python -m neurons.miner --netuid 72 --wallet.name cold &'", WALLET, ""),
        ('A="--netuid 72"\nA+=" --wallet.name cold"\nexec python neurons/miner.py $A\n', WALLET, ""),
        ("f() {\n local W=cold\n python neurons/miner.py --netuid 72 --wallet.name $W\n}\nf\n", WALLET, ""),
        ("if pgrep -f neurons/miner.py; then pkill -f neurons/miner.py; fi\n"
         "python neurons/miner.py --netuid 72 --wallet.name cold", WALLET, ""),
        ('A=(--netuid 72)\npython neurons/miner.py --wallet.name cold "${A[@]}" "$@"\n', {"wallet.name": "cold"},
         "only a shell could know what ${A[@]} stands for; it is left out"),
        ("python neurons/miner.py --netuid 72 --wallet.name cold \\ \n --axon.port 9000\n", WALLET,
         "--axon.port stands outside the command that starts the miner; it is left out"),
        ("pm2 start neurons/miner.py --netuid 72 --wallet.name cold", {}, "pm2 keeps the flags of a command"),
        ("A='b \"$A\" neurons/miner.py'\nbash -c \"$A\"\nNETUID=72\n", {"netuid": "72"}, ""),
        (UNIT, {**WALLET, "axon.port": "9000"},
         "--wallet.hotkey: only the service manager could know the value; it is left out"),
        (UNIT, {**WALLET, "axon.port": "9000"}, "/gone/miner.env: no such file or directory"),
    ],
)  # fmt: skip
def test_scripts_as_people_write_them(text: str, expected: dict[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_text(text)
    found, notes = translated(read_official([str(tmp_path / "given")]))
    assert found == expected
    assert says in "; ".join(notes)


def test_of_two_miners_one_must_be_named(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_text("python neurons/miner.py --wallet.name a\npython neurons/miner.py --wallet.name b\n")
    with pytest.raises(OperatorError, match="more than one command starts a miner there: give --from the one"):
        read_official([str(script)])
    script.write_text("python neurons/miner.py --wallet.name a\n" * 2 + "python neurons/miner.py\n")
    assert translated(read_official([str(script)]))[0] == {"wallet.name": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "module.exports = { apps: [{ script: 'neurons/miner.py', args: '--netuid 72' }] };\n",
        '{"apps": [{"script": "neurons/miner.py", "args": "--netuid 72"}]}\n',
        "apps:\n  - script: neurons/miner.py\n    args: --netuid 72\n",
        "services:\n  miner:\n    environment:\n      - NETUID=72\n",
        "    environment:\n      NETUID: 72\n",
        '["python", "neurons/miner.py"]\n',
    ],
)
def test_other_formats_are_refused_with_the_way_out(text: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_text(text)
    with pytest.raises(OperatorError, match="give --from the command that it runs, in quotes, and a file with its"):
        read_official([str(tmp_path / "given")])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"# a poem\nroses are red\n", "is neither a settings file nor"),
        (b"", "is neither a settings file nor"),
        (b"GREETING=hello\n", "is neither a settings file nor"),
        (b"\x7fELF\x00\x01", "is no text file of a reasonable size"),
        (b"NETUID=\xff\xfe", "it is not a text file"),
        (b"NETUID=1\n" * 200_000, "is no text file of a reasonable size"),
    ],
)
def test_what_is_neither_gets_one_sentence(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(content)
    with pytest.raises(OperatorError, match=says) as caught:
        read_official([str(tmp_path / "given")])
    assert "\n" not in str(caught.value)


def test_what_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no file"):
        read_official([str(tmp_path / "nothing")])
    with pytest.raises(OperatorError, match=r"there is neither miner\.env nor start_miner\.sh"):
        read_official([str(tmp_path)])
    with pytest.raises(OperatorError, match="is neither a settings file nor"):
        read_official(["python train.py --epochs 3"])


def test_a_sourced_file_that_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "start_miner.sh").write_text("source gone.env\npython neurons/miner.py --netuid 72 --wallet.name $W\n")
    found, notes = translated(read_official([str(tmp_path / "start_miner.sh")]))
    assert found == {"netuid": "72"}
    assert "--wallet.name has no value there; it is left out" in notes
    assert any("gone.env: no such file or directory; what it sets is not known" in note for note in notes)


def test_an_official_file_in_our_place_is_translated(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text(f"CHAIN_ENDPOINT={NODE}\nIMAGE_DETECTOR=ViT\nHF_TOKEN=x\nWALLET_HOTKY=y\n")
    former = read_former(tmp_path / "miner.env")
    assert former.answers == {"subtensor.chain_endpoint": NODE}
    assert former.others == {"HF_TOKEN": "x"}
    assert len(former.notes) == 3
