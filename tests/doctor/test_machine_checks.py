"""Checks of the installation, the keys, the clock and the stores, each well and unwell."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from bittensor import Wallet

from streetvision.base.start_steps import StartSteps
from streetvision.base.state_folder import lock_holder, only_one
from streetvision.base.steady_clock import kernel_synchronised
from streetvision.control.client import call
from streetvision.doctor.check import Mark
from streetvision.doctor.configuration import check_settings, read_settings
from streetvision.doctor.installation import (
    check_compiler,
    check_gpu,
    check_mining_extra,
    check_runner,
    check_versions,
    driver_version,
    look_at_gpu,
)
from streetvision.doctor.keys import check_coldkey, check_hotkey
from streetvision.doctor.live import Live, check_miner, holds_folder
from streetvision.doctor.network import check_clock
from streetvision.doctor.stores import check_history, check_live_store, check_log, check_space, check_state
from streetvision.errors import OperatorError
from streetvision.mining.database import how_to_install
from streetvision.settings.network import AxonSettings, WalletSettings
from streetvision.settings.settings import Settings

from ..conftest import Logbook

NO_GPU = {"torch": "2.14.1", "cuda": "13.0", "available": False, "archs": [], "devices": []}
H100 = {"name": "H100", "major": 9, "minor": 0, "memory": 80 * 2**30}
ONE_GPU = {**NO_GPU, "available": True, "archs": ["sm_80", "sm_90", "compute_90"], "devices": [H100]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(wallet=WalletSettings(path=tmp_path / "wallets"), state_dir=tmp_path / "state")


def test_installed_versions_fit() -> None:
    assert check_versions().mark is Mark.OK


@pytest.mark.parametrize(
    ("found", "says"), [("10.5.0", "bittensor 10.5.0 does not fit"), (None, "bittensor is not installed")]
)
def test_version_skew_is_found(found: str | None, says: str) -> None:
    def installed(name: str) -> str:
        if name == "bittensor" and found is None:
            raise PackageNotFoundError(name)
        return found if name == "bittensor" and found else version(name)

    wanted = ["bittensor>=11.3,<12", "torch>=2", "fiftyone==1; extra == 'mining'"]
    check = check_versions(lambda: wanted, installed)
    assert check.mark is Mark.FAILURE
    assert says in check.evidence
    assert "fiftyone" not in check.evidence


def test_the_gpu_is_looked_at_in_a_process_of_its_own() -> None:
    assert look_at_gpu(code='print(\'{"torch": "x"}\')') == {"torch": "x"}
    broken = look_at_gpu(code="import sys; sys.stderr.write('no driver\\n'); sys.exit(3)")
    assert broken == "torch broke down (exit code 3): no driver"
    assert "within 0.2 s" in str(look_at_gpu(0.2, code="import time; time.sleep(60)"))
    assert "exit code -6" in str(look_at_gpu(code="import os; os.abort()"))


@pytest.mark.parametrize(
    ("device", "seen", "driver", "mark"),
    [
        ("auto", NO_GPU, None, Mark.OK),
        ("auto", NO_GPU, "470.1", Mark.FAILURE),  # the driver is too old for this torch
        ("cuda", NO_GPU, None, Mark.FAILURE),
        ("auto", ONE_GPU, "580.1", Mark.OK),
        ("cuda:0", ONE_GPU, "580.1", Mark.OK),
        ("cuda:1", ONE_GPU, "580.1", Mark.FAILURE),
        ("cpu", ONE_GPU, "580.1", Mark.WARNING),
        ("auto", {**ONE_GPU, "archs": ["sm_100"]}, "580.1", Mark.FAILURE),
        ("auto", "torch broke down", None, Mark.FAILURE),
    ],
)
def test_devices(device: str, seen: Any, driver: str | None, mark: Mark) -> None:
    check = check_gpu(Settings(device=device), seen, driver)
    assert check.mark is mark
    assert check.remedy or mark is Mark.OK


def test_a_containers_share_of_the_cores_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.doctor.installation.usable_cpus", lambda: 0.5)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    check = check_gpu(Settings(), NO_GPU, None)
    assert (check.mark, check.evidence.startswith("the CPU, 0.5 of 8 cores (torch")) == (Mark.OK, True)
    assert check_gpu(Settings(threads=1), NO_GPU, None).mark is Mark.OK
    check = check_gpu(Settings(threads=2), NO_GPU, None)
    assert (check.mark, "too few for --threads 2" in check.evidence) == (Mark.WARNING, True)


def test_the_drivers_version_comes_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_version() is None
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('580.65.06')\n")
    program.chmod(0o755)
    assert driver_version() == "580.65.06"
    program.write_text(f"#!{sys.executable}\nraise SystemExit(9)\n")
    assert driver_version() is None


def test_a_missing_compiler_costs_everything_on_a_gpu_and_nothing_on_a_cpu(tmp_path: Path) -> None:
    nothing = {"CC": str(tmp_path / "cc"), "HOME": str(tmp_path), "PATH": str(tmp_path)}
    check = check_compiler(False, nothing)
    assert (check.mark, check.evidence) == (Mark.OK, "none is needed: nothing is compiled on a CPU")
    check = check_compiler(True, nothing)
    assert (check.mark, "apt-get install gcc" in check.remedy) == (Mark.FAILURE, True)


@pytest.mark.parametrize(
    ("wish", "on_gpu", "extras", "mark", "words"),
    [
        ("auto", True, frozenset(), Mark.OK, "torch: on a GPU"),
        ("auto", False, frozenset({"openvino"}), Mark.OK, "openvino: on a CPU"),
        ("auto", False, frozenset(), Mark.SKIPPED, "pip install 'streetvision[openvino]'"),
        ("torch", False, frozenset(), Mark.OK, "torch: it was asked for"),
        ("openvino", False, frozenset(), Mark.FAILURE, "needs the extra `openvino`"),
        ("openvino", True, frozenset({"openvino"}), Mark.FAILURE, "on the CPU alone"),
    ],
)
def test_what_will_run_models(wish: str, on_gpu: bool, extras: frozenset[str], mark: Mark, words: str) -> None:
    check = check_runner(Settings(runner=wish), on_gpu, extras)
    assert check.mark is mark
    assert words in f"{check.evidence} {check.remedy}"


def test_a_cache_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    environ = {"CC": sys.executable, "HOME": str(tmp_path), "TRITON_CACHE_DIR": str(tmp_path / "cache" / "triton")}
    check = check_compiler(True, environ)
    assert (check.mark, "TRITON_CACHE_DIR" in check.remedy) == (Mark.FAILURE, True)
    assert check_compiler(False, environ).mark is Mark.OK


def test_the_mining_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.mining.database.importlib.util.find_spec", lambda name: None)
    check = check_mining_extra()
    assert check.mark is Mark.SKIPPED
    assert how_to_install() in check.remedy


def test_mining_is_offered_only_where_it_can_be_installed() -> None:
    assert how_to_install((3, 13)) == "pip install 'streetvision[mining]'"
    assert how_to_install((3, 14)) == "there is no FiftyOne for Python 3.14 yet, use one of 3.11 to 3.13 for mining"


def test_hotkey_and_coldkey(settings: Settings) -> None:
    with pytest.raises(OperatorError, match="btcli wallet new-hotkey"):
        check_hotkey(settings)
    assert check_coldkey(settings).mark is Mark.OK
    wallet = Wallet("default", "default", str(settings.wallet.path))
    wallet.create_new_hotkey(use_password=False, overwrite=True, suppress=True)
    file = settings.wallet.path / "default" / "hotkeys" / "default"
    file.chmod(0o600)
    check, found = check_hotkey(settings)
    assert found is not None
    assert (check.mark, found.ss58_address in check.evidence) == (Mark.OK, True)
    file.chmod(0o644)
    assert check_hotkey(settings)[0].remedy == f"chmod 600 {file}"
    (settings.wallet.path / "default" / "coldkey").write_text("{}")
    check = check_coldkey(settings)
    assert check.mark is Mark.WARNING
    assert (
        "--register burn"
        in check_coldkey(replace(settings, register=replace(settings.register, choice="burn", max_burn=1.0))).evidence
    )


def test_settings_are_told_without_values(tmp_path: Path) -> None:
    (tmp_path / "miner.env").write_text(
        "ALERTS_PING_URL=https://hc.example/very-secret-part\nNETUID=323\nAXON_REQUEST_PER_MINUTE=50\n"
    )
    settings, file, sentences = read_settings([], {}, tmp_path)
    check = check_settings(settings, file, sentences, None)
    assert check.mark is Mark.WARNING
    assert "did you mean AXON_REQUESTS_PER_MINUTE?" in check.evidence
    assert "very-secret-part" not in check.evidence
    assert file is not None
    file.chmod(0o644)
    check = check_settings(settings, file, [], None)
    assert check.remedy == f"chmod 600 {file}"
    file.chmod(0o600)
    assert check_settings(settings, file, [], None).mark is Mark.OK


def test_a_running_miner_with_other_settings_is_told() -> None:
    live = Live({"netuid": 72, "network": "finney", "port": 9000}, {"hotkey": "5Own"}, (), {})
    check = check_settings(Settings(), None, [], live)
    assert check.mark is Mark.WARNING
    assert "the running miner has port 9000" in check.evidence
    same = replace(Settings(), axon=AxonSettings(port=9000))
    assert check_settings(same, None, [], live, "5Own").mark is Mark.OK
    assert "hotkey 5Own" in check_settings(same, None, [], live, "5Other").evidence


@pytest.mark.parametrize(
    ("offset", "kept", "mark"),
    [
        (3.0, True, Mark.OK),
        (3.0, False, Mark.OK),
        (90.0, True, Mark.WARNING),
        (-8.0, True, Mark.WARNING),
        (None, True, Mark.OK),
        (None, False, Mark.WARNING),
        (None, None, Mark.SKIPPED),
    ],
)
def test_clocks(offset: float | None, kept: bool | None, mark: Mark) -> None:
    assert check_clock(offset, lambda: kept).mark is mark


def test_a_clock_that_others_vouch_for_is_left_alone() -> None:
    for check in (
        check_clock(7200.0, lambda: True),
        check_clock(7200.0, lambda: False, validators=[0.2] * 7),
        check_clock(-60.0, lambda: None, validators=[0.2] * 7),
    ):
        assert check.mark is Mark.WARNING
        assert "it is right, but the node is not" in check.evidence
        assert "timedatectl" not in check.remedy
    undecided = check_clock(7200.0, lambda: None)
    assert "or the node lags" in undecided.evidence
    assert "timedatectl" in undecided.remedy
    assert "--subtensor.chain_endpoint" in undecided.remedy
    assert check_clock(4.0, lambda: True, validators=[9.0, 9.0]).mark is Mark.WARNING


def test_the_kernel_says_something_or_nothing() -> None:
    assert kernel_synchronised() in (True, False, None)


def test_state_folder(settings: Settings) -> None:
    assert check_state(settings).mark is Mark.OK
    settings.state_dir.mkdir(mode=0o700)
    assert check_state(settings).mark is Mark.OK
    settings.state_dir.chmod(0o777)
    assert check_state(settings).remedy == f"chmod 700 {settings.state_dir}"
    settings.state_dir.rmdir()
    settings.state_dir.write_text("a file")
    assert check_state(settings).mark is Mark.FAILURE


def test_a_full_disk_is_left_to_its_rule(settings: Settings) -> None:
    assert check_space(settings.state_dir, 2**30, 2**40).mark is Mark.OK
    assert check_space(settings.state_dir, None, None).mark is Mark.SKIPPED


def test_the_log_without_a_miner(logbook: Logbook, settings: Settings) -> None:
    settings = replace(settings, state_dir=logbook.state)
    assert check_log(settings, logbook.moment).mark is Mark.SKIPPED
    logbook.write(logbook.record(None), logbook.record(None))
    check = check_log(settings, logbook.moment + 60)
    assert check.mark is Mark.OK
    assert "2 requests" in check.evidence
    assert check_log(replace(settings, log=replace(settings.log, enabled=False)), 0.0).mark is Mark.SKIPPED
    (logbook.folder / "predictions.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OperatorError, match="cannot be read"):
        check_log(settings, 0.0)


def test_what_the_running_miner_says_of_its_stores() -> None:
    assert check_live_store("log", None).mark is Mark.SKIPPED
    assert check_live_store("log", {"degraded": None, "lost": 0}).mark is Mark.OK
    check = check_live_store("log", {"degraded": "full", "lost": 12})
    assert check.mark is Mark.FAILURE
    assert "12 rows lost" in check.evidence


def test_history_without_a_miner(settings: Settings) -> None:
    assert check_history(settings, None).mark is Mark.SKIPPED
    assert check_history(settings, "5F").mark is Mark.SKIPPED
    file = settings.state_dir / "monitor" / "history.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(OperatorError, match="cannot be read"):
        check_history(settings, "5F")


def test_a_stopping_miner_is_told_from_none(tmp_path: Path) -> None:
    nobody = OperatorError("no miner runs with the state folder x: start it")
    assert check_miner(tmp_path, None, nobody).mark is Mark.SKIPPED
    with only_one(tmp_path, "miner"):
        assert lock_holder(tmp_path / "miner.lock") == os.getpid()
        stopping = check_miner(tmp_path, None, asked(tmp_path))
        assert (stopping.mark, "is stopping" in stopping.evidence) == (Mark.WARNING, True)
        (tmp_path / "control.sock").touch()
        stuck = check_miner(tmp_path, None, OperatorError("the miner said nothing for 8 s: its log says more"))
        assert (stuck.mark, stuck.evidence) == (Mark.FAILURE, "the miner said nothing for 8 s")
    assert lock_holder(tmp_path / "miner.lock") is None


def test_a_starting_miner_is_at_a_step(tmp_path: Path) -> None:
    steps = StartSteps(tmp_path)
    steps.begin("loading and warming the model")
    assert holds_folder(tmp_path)
    check = check_miner(tmp_path, None, asked(tmp_path))
    assert check.mark is Mark.WARNING
    assert "is starting: loading and warming the model, for 0 s" in check.evidence
    steps.close()
    assert not holds_folder(tmp_path)
    assert check_miner(tmp_path, None, asked(tmp_path)).mark is Mark.SKIPPED


def asked(folder: Path) -> OperatorError:
    """Why the folder's miner does not answer."""
    with pytest.raises(OperatorError) as caught:
        call(folder / "control.sock", "findings")
    return caught.value


def test_a_miner_of_another_version_wants_a_restart(tmp_path: Path) -> None:
    check = check_miner(tmp_path, Live({"pid": 7, "version": "0.0.1"}, {}, (), {}), None)
    assert check.mark is Mark.WARNING
    assert "Restart" in check.remedy
