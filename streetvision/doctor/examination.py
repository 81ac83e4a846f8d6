"""The whole examination: every check, bounded in time and side by side, in the order in which they are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.chain.wallets import MinerWallet
from streetvision.doctor.backend import check_backend
from streetvision.doctor.bounds import bounded, from_error, in_thread
from streetvision.doctor.check import SECTIONS, Check, Mark, Report, of_finding, skipped
from streetvision.doctor.configuration import check_settings
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
from streetvision.doctor.live import Live, ask, check_miner, holds_folder
from streetvision.doctor.models import check_card, check_model
from streetvision.doctor.network import OpenChain, Try, open_chain
from streetvision.doctor.operator_port import check_metrics
from streetvision.doctor.oracle import check_oracle
from streetvision.doctor.standing import StandingReport, standing_live, standing_offline
from streetvision.doctor.stores import (
    MONITOR_FOLDER,
    check_history,
    check_live_store,
    check_log,
    check_memory,
    check_space,
    check_state,
)
from streetvision.doctor.synthetic import check_synthetic
from streetvision.doctor.video import check_video
from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.models.versions import ModelVersion
from streetvision.monitor import rules
from streetvision.monitor.finding import Finding
from streetvision.monitor.machine import read_machine
from streetvision.monitor.probe import probe_endpoint
from streetvision.monitor.unjudged import Unjudged
from streetvision.net.bedrock import open_session
from streetvision.settings.settings import Settings

QUICK_S, DISK_S, SLOW_S = 15.0, 60.0, 90.0
_GRAVITY = {Mark.SKIPPED: 0, Mark.OK: 1, Mark.WARNING: 2, Mark.FAILURE: 3}


@dataclass(frozen=True)
class Tools:
    """How the doctor reaches the world; tests bring their own."""

    opening: OpenChain = open_chain
    try_it: Try = probe_endpoint
    hub: Hub | None = None
    ask: Callable[[Path], Live] = ask
    look_at_gpu: Callable[[], Mapping[str, Any] | str] = look_at_gpu
    driver: Callable[[], str | None] = driver_version
    aws: Callable[[str, str], Any] = open_session
    now: Callable[[], float] = time.time


async def examine(
    settings: Settings,
    file: Path | None,
    sentences: list[str],
    tools: Tools = Tools(),
) -> Report:
    """Everything; takes as long as its slowest check, and at most about a minute and a half. `file` is miner.env."""
    live, error = await _ask(settings, tools)
    wallet, hotkey = await _open(settings, live)
    standing, (installed, on_gpu), model, others, kept = await asyncio.gather(
        _standing(settings, live, wallet, tools),
        _installed(settings, tools),
        _model(settings, wallet, tools),
        _others(settings, tools.now()),
        _kept(settings, live, wallet, tools),
    )
    compiler = await bounded("compiler", QUICK_S, in_thread(lambda: check_compiler(on_gpu)))
    runner = await bounded("runner", QUICK_S, in_thread(lambda: check_runner(settings, on_gpu)))
    address = None if wallet is None else wallet.ss58_address
    known = [check_settings(settings, file, sentences, live, address), hotkey, check_coldkey(settings)]
    known += [
        check_miner(settings.state_dir, live, error),
        *standing.checks,
        *installed,
        *model,
        *others,
        *kept,
        runner,
        compiler,
    ]
    unjudged = standing.unjudged if live is not None else uncovered(standing.unjudged, known)
    return Report(arranged(known, standing.findings), standing.diagnosis, unjudged)


async def _others(settings: Settings, now: float) -> list[Check]:
    """Services elsewhere that answer or label for the miner."""
    checks = await asyncio.gather(
        bounded("backend", SLOW_S, check_backend(settings, now)),
        bounded("oracle", QUICK_S, check_oracle(settings, now)),
        bounded("synthetic", SLOW_S, in_thread(lambda: check_synthetic(settings, now))),
    )
    return list(checks)


async def _ask(settings: Settings, tools: Tools) -> tuple[Live | None, OperatorError | None]:
    try:
        return await asyncio.wait_for(in_thread(lambda: tools.ask(settings.state_dir)), QUICK_S), None
    except TimeoutError:
        return None, OperatorError("the miner does not answer: read its log, and restart it")
    except OperatorError as error:
        return None, error


async def _open(settings: Settings, live: Live | None) -> tuple[MinerWallet | None, Check]:
    found: list[MinerWallet | None] = []

    def work() -> Check:
        check, wallet = check_hotkey(settings, running=live is not None)
        found.append(wallet)
        return check

    check = await bounded("hotkey", SLOW_S, in_thread(work))
    return (found[0] if found else None), check


async def _standing(settings: Settings, live: Live | None, wallet: MinerWallet | None, tools: Tools) -> StandingReport:
    if live is not None:
        return await standing_live(settings, live, tools.try_it)
    return await standing_offline(
        settings,
        wallet,
        opening=tools.opening,
        try_it=tools.try_it,
        now=tools.now,
        starting=holds_folder(settings.state_dir),
    )


async def _installed(settings: Settings, tools: Tools) -> tuple[tuple[Check, ...], bool]:
    """The checks, and whether a GPU will answer."""
    on_gpu: list[bool] = []

    def device() -> Check:
        seen = tools.look_at_gpu()
        on_gpu.append(not isinstance(seen, str) and bool(seen["available"]) and settings.device != "cpu")
        return check_gpu(settings, seen, tools.driver())

    versions, mining, video, gpu = await asyncio.gather(
        bounded("versions", QUICK_S, in_thread(check_versions)),
        bounded("mining", QUICK_S, in_thread(check_mining_extra)),
        bounded("video", DISK_S, in_thread(lambda: check_video(settings, tools.aws))),
        bounded("device", SLOW_S, in_thread(device)),
    )
    return (versions, mining, video, gpu), any(on_gpu)


async def _model(settings: Settings, wallet: MinerWallet | None, tools: Tools) -> tuple[Check, ...]:
    found: list[ModelVersion | None] = []
    hotkey = None if wallet is None else wallet.ss58_address

    def model() -> Check:
        check, version = check_model(settings)
        found.append(version)
        return check

    checked = await bounded("model", SLOW_S, in_thread(model))
    version = found[0] if found else None
    card = await bounded("card", DISK_S, in_thread(lambda: check_card(settings, version, hotkey, tools.hub)))
    return checked, card


async def _kept(settings: Settings, live: Live | None, wallet: MinerWallet | None, tools: Tools) -> tuple[Check, ...]:
    hotkey = None if wallet is None else wallet.ss58_address
    folder = settings.state_dir / MONITOR_FOLDER
    if live is not None:
        log, history = (check_live_store(name, live.observed[name]) for name in ("log", "history"))
    else:
        log, history = await asyncio.gather(
            bounded("log", DISK_S, in_thread(lambda: check_log(settings, tools.now()))),
            bounded("history", DISK_S, in_thread(lambda: check_history(settings, hotkey))),
        )

    metrics = await bounded(
        "metrics",
        QUICK_S,
        in_thread(lambda: check_metrics(settings, running=live is not None or holds_folder(settings.state_dir))),
    )

    def state() -> tuple[Check, ...]:
        machine = read_machine(folder)
        space = check_space(settings.state_dir, machine.disk_free, machine.disk_total)
        return check_state(settings), space, check_memory(machine.memory_available, machine.memory_total)

    try:
        return *await asyncio.wait_for(in_thread(state), QUICK_S), metrics, log, history
    except TimeoutError:
        why = OperatorError(f"the disk of {settings.state_dir} does not answer: check the mount and the disk (dmesg)")
        return from_error("state", why), metrics, log, history


def arranged(checks: list[Check], findings: tuple[Finding, ...]) -> tuple[Check, ...]:
    """The checks in their order, then the findings that stand on no line of theirs: each finding shows once."""
    known = {check.name: check for check in checks}
    names = (name for names in SECTIONS.values() for name in names)
    lines = [_line(known.get(name, skipped(name, "not checked")), findings) for name in names]
    shown = [finding for _, finding in lines]
    return (*(check for check, _ in lines), *(of_finding(f.code, f) for f in findings if f not in shown))


def _line(check: Check, findings: tuple[Finding, ...]) -> tuple[Check, Finding | None]:
    """The gravest finding of the check's rules where it is as grave as the check, else the check alone."""
    codes = {rule.code for rule in rules.RULES if rule.check == check.name}
    found = next((finding for finding in findings if finding.code in codes), None)
    if found is None or _GRAVITY[(ruled := of_finding(check.name, found)).mark] < _GRAVITY[check.mark]:
        return check, None
    return ruled, found


def uncovered(unjudged: tuple[Unjudged, ...], checks: list[Check]) -> tuple[Unjudged, ...]:
    """Without a running miner: the rules that none of the doctor's own checks stands in for."""
    done = {check.name for check in checks if check.mark is not Mark.SKIPPED}
    covered = {rule.code for rule in rules.RULES if rule.check in done}
    return tuple(rule for rule in unjudged if rule.code not in covered)
