"""The files in scripts/ that keep the miner running: they parse, and they say what the documents promise."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streetvision import __version__
from streetvision.fleet.fleet_file import FILE_VARIABLE
from streetvision.fleet.keeper import STOP_S as MEMBER_STOP_S
from streetvision.fleet.telling import CLOSE_S as ALERTS_S
from streetvision.miner.process import ABANDON_SECONDS, CLOSE_SECONDS
from streetvision.retrain.schedule import STOP_S
from streetvision.settings.fields import SETTINGS
from streetvision.settings.upkeep import METRICS_PORT

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
UNIT = SCRIPTS / "streetvision.service"
RETRAIN_UNIT = SCRIPTS / "streetvision-retrain.service"
MEMBER_UNIT = SCRIPTS / "streetvision@.service"
FLEET_UNIT = SCRIPTS / "streetvision-fleet.service"
ECOSYSTEM = SCRIPTS / "ecosystem.config.js"
RETRAIN_ECOSYSTEM = SCRIPTS / "retrain.config.js"
FLEET_ECOSYSTEM = SCRIPTS / "fleet.config.js"
ENDS_WITHIN_S = CLOSE_SECONDS + ABANDON_SECONDS
FLEET_ENDS_WITHIN_S = 2 * MEMBER_STOP_S + ALERTS_S
"""Its miners are asked, then killed, and then alerts under way are waited for."""
NAMES = {name for item in SETTINGS for name in item.env}


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=cwd)


def needs(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


ON_A_GPU = (UNIT, RETRAIN_UNIT, MEMBER_UNIT)
UNITS = (*ON_A_GPU, FLEET_UNIT)
units = pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
gpu_units = pytest.mark.parametrize("file", ON_A_GPU, ids=lambda file: file.name)


def unit(file: Path = UNIT) -> dict[str, list[str]]:
    """A unit's directives in force, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def compose() -> Any:
    return yaml.safe_load((SCRIPTS / "docker-compose.yml").read_text())


@units
def test_systemd_takes_the_unit(file: Path, tmp_path: Path) -> None:
    analyze = needs("systemd-analyze")
    home = tmp_path / "streetvision"
    (home / ".venv" / "bin").mkdir(parents=True)
    for program in ("python", "streetvision"):
        (home / ".venv" / "bin" / program).symlink_to(shutil.which("true") or "/bin/true")
    placed = tmp_path / file.name
    placed.write_text(file.read_text().replace("/opt/streetvision", str(home)))
    done = run(analyze, "verify", str(placed))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_gives_the_drain_its_time() -> None:
    for file in (UNIT, MEMBER_UNIT):
        (seconds,) = unit(file)["TimeoutStopSec"]
        assert float(seconds) > ENDS_WITHIN_S
    (seconds,) = unit(RETRAIN_UNIT)["TimeoutStopSec"]
    assert float(seconds) > STOP_S


def test_retraining_gives_way_to_the_miner_and_outlives_a_training_that_took_too_much_memory() -> None:
    directives = unit(RETRAIN_UNIT)
    for name, value in {"Nice": "19", "IOSchedulingClass": "idle", "CPUWeight": "1", "OOMPolicy": "continue"}.items():
        assert directives[name] == [value]
    assert "Requires" not in directives
    assert directives["ExecStart"][0].endswith("/bin/streetvision retrain serve")


def test_every_manager_starts_it_again_whatever_the_exit_code_and_never_gives_up() -> None:
    for file in UNITS:
        directives = unit(file)
        assert directives["Restart"] == ["always"]
        assert directives["StartLimitIntervalSec"] == ["0"]
        assert not {"RestartPreventExitStatus", "SuccessExitStatus"} & directives.keys()
    assert compose()["services"]["miner"]["restart"] == "unless-stopped"
    for file in (ECOSYSTEM, RETRAIN_ECOSYSTEM, FLEET_ECOSYSTEM):
        text = file.read_text()
        assert "autorestart: true" in text
        assert "stop_exit_codes" not in text
        assert int(text.partition("max_restarts: ")[2].partition(",")[0]) >= 1_000_000


@units
def test_the_unit_is_hardened(file: Path) -> None:
    directives = unit(file)
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert directives[name] == ["yes"], name
    assert directives["ProtectSystem"] == ["strict"]
    assert directives["CapabilityBoundingSet"] == [""]


@gpu_units
def test_the_unit_is_not_hardened_against_cuda(file: Path) -> None:
    directives = unit(file)
    text = file.read_text()
    breaks_cuda = ("MemoryDenyWriteExecute", "PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock",
                   "ProcSubset", "PrivateUsers", "SystemCallFilter", "NoExecPaths")  # fmt: skip
    for name in breaks_cuda:
        assert name not in directives
        assert f"{name}=" in text, f"the unit does not say why it leaves {name} out"


@units
def test_the_unit_writes_in_its_own_folders_alone(file: Path) -> None:
    directives = unit(file)
    environment = dict(line.split("=", 1) for line in directives["Environment"])
    (writable,) = directives["ReadWritePaths"]
    folders = {"STREETVISION_STATE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "HOME"} & environment.keys()
    assert "HOME" in folders
    for name in folders:
        assert any(environment[name].startswith(folder) for folder in writable.split()), name
    assert environment["MALLOC_ARENA_MAX"] == "2"


def test_the_units_of_a_fleet_take_their_settings_from_its_file_alone() -> None:
    for file in (MEMBER_UNIT, FLEET_UNIT):
        environment = dict(line.split("=", 1) for line in unit(file)["Environment"])
        assert environment[FILE_VARIABLE] == "/etc/streetvision/fleet.toml"
        assert not environment.keys() & NAMES
    assert unit(MEMBER_UNIT)["ExecStart"][0].endswith("/bin/streetvision fleet run %i")
    assert unit(FLEET_UNIT)["ExecStart"][0].endswith("/bin/streetvision fleet serve")


def test_the_single_miners_unit_names_settings_that_there_are() -> None:
    environment = dict(line.split("=", 1) for line in unit()["Environment"])
    assert environment["WALLET_PATH"].startswith("/etc/")
    assert {"WALLET_PATH", "STREETVISION_STATE_DIR"} <= NAMES & environment.keys()


@pytest.mark.parametrize(
    ("file", "ends_within_s"),
    [(ECOSYSTEM, ENDS_WITHIN_S), (RETRAIN_ECOSYSTEM, STOP_S), (FLEET_ECOSYSTEM, FLEET_ENDS_WITHIN_S)],
    ids=["miner", "retrain", "fleet"],
)
def test_node_takes_the_ecosystem_file(file: Path, ends_within_s: float) -> None:
    node = needs("node")
    assert run(node, "--check", str(file)).returncode == 0
    done = run(node, "-p", f"JSON.stringify(require({json.dumps(str(file))}))")
    (app,) = json.loads(done.stdout)["apps"]
    assert app["cwd"] == str(ROOT)
    assert (ROOT / app["script"]).exists()
    assert app["kill_timeout"] / 1000 > ends_within_s
    assert app["watch"] is False
    assert app["autorestart"] is True
    assert (app["exec_mode"], app["instances"]) == ("fork", 1)
    assert app["env"]["MALLOC_ARENA_MAX"] == "2"


def test_compose_mounts_the_hotkey_alone_and_read_only() -> None:
    miner = compose()["services"]["miner"]
    mounts = {mount["target"]: mount for mount in miner["volumes"]}
    hotkey = mounts.pop("/wallets/default/hotkeys/default")
    assert hotkey["read_only"] is True
    assert hotkey["bind"]["create_host_path"] is False
    assert not any("wallet" in mount["source"].lower() for mount in mounts.values())
    assert miner["read_only"] is True
    assert miner["cap_drop"] == ["ALL"]
    assert not miner["user"].startswith("0")
    assert float(miner["stop_grace_period"].removesuffix("s")) > ENDS_WITHIN_S
    assert miner["image"].endswith(f":-{__version__}}}")


def test_compose_sets_only_settings_that_exist() -> None:
    names = set(compose()["services"]["miner"]["environment"])
    assert names - {"MINER_ENV"} <= NAMES


def test_docker_takes_the_compose_files(tmp_path: Path) -> None:
    docker = needs("docker")
    if run(docker, "compose", "version").returncode != 0:
        pytest.skip("docker has no compose plugin")
    (tmp_path / ".env").write_text("HOTKEY_FILE=/tmp/hotkey\nBT_AXON_EXTERNAL_IP=203.0.113.7\n")
    files = [f"--file={SCRIPTS / name}" for name in ("docker-compose.yml", "docker-compose.gpu.yml")]
    done = run(docker, "compose", f"--env-file={tmp_path / '.env'}", *files, "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gpu_is_an_addition_to_the_same_service() -> None:
    added = yaml.safe_load((SCRIPTS / "docker-compose.gpu.yml").read_text())
    assert set(added["services"]) == set(compose()["services"])


def test_the_image_is_made_of_files_that_exist_and_runs_without_root() -> None:
    lines = (SCRIPTS / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert name in allowed, name
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users
    assert not users[-1].startswith(("0", "root"))
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_the_health_check_asks_the_port_of_the_settings() -> None:
    text = (SCRIPTS / "Dockerfile").read_text()
    port = next(item for item in SETTINGS if item.name == "metrics.port")
    assert f"'{port.env[0]}', '{METRICS_PORT}') + '/healthz'" in text


def test_compose_publishes_the_operators_port_on_loopback_alone() -> None:
    miner = compose()["services"]["miner"]
    assert miner["environment"]["METRICS_PORT"] == str(METRICS_PORT)
    published = [port for port in miner["ports"] if port.endswith(f":{METRICS_PORT}")]
    assert len(published) == 1
    assert published[0].startswith("127.0.0.1:")


def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    logrotate = needs("logrotate")
    file = tmp_path / "streetvision"
    text = (SCRIPTS / "streetvision.logrotate").read_text()
    file.write_text(text.replace("/home/miner/.streetvision/logs", str(tmp_path)))
    file.chmod(0o644)
    done = run(logrotate, "--debug", "--state", str(tmp_path / "state"), str(file))
    assert done.returncode == 0
    assert "error" not in done.stderr
