"""`streetvision register`: register the hotkey and leave, with the miner's own settings."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import typer

from streetvision.errors import EXIT_STOPPED, EXIT_UNCLEAN, ConfigError
from streetvision.settings.flags import build_parser

if TYPE_CHECKING:
    from streetvision.chain.registration import Registration
    from streetvision.settings.settings import Settings

_USAGE = "Takes the miner's flags; `--json` prints the result as JSON. The coldkey must be on this machine."


def register(context: typer.Context) -> None:
    """Register the hotkey: --register burn --register.max_burn TAO, or --register pow, and the miner's other flags."""
    arguments = list(context.args)
    as_json = "--json" in arguments
    if as_json:
        arguments.remove("--json")
    if {"-h", "--help"} & set(arguments):
        parser = build_parser(epilog=_USAGE)
        parser.prog = "streetvision register"
        parser.print_help()
        return
    from streetvision.miner.process import leave, run_operation  # torch and the SDK take seconds to import

    code = run_operation(arguments, partial(_register, as_json))
    if code == EXIT_STOPPED:
        leave(code)
    raise typer.Exit(code)


async def _register(as_json: bool, settings: Settings) -> int:
    from streetvision.miner.miner import Miner
    from streetvision.miner.process import close_in_time, finished_before, stop_on_signals

    if not settings.register.choice:
        raise ConfigError("say how to register: --register burn --register.max_burn TAO, or --register pow")
    miner, stop = Miner(settings), stop_on_signals()
    done: list[Registration] = []

    async def work() -> None:
        done.append(await miner.register_only())

    try:
        finished = await finished_before(stop, work())
    finally:
        clean = await close_in_time(miner)
    if not finished:
        return EXIT_STOPPED
    _show(done[0], settings.netuid, as_json)
    return 0 if clean else EXIT_UNCLEAN


def _show(done: Registration, netuid: int, as_json: bool) -> None:
    fields = {"uid": done.uid, "hotkey": done.hotkey, "method": done.method, "price_tao": done.price_tao}
    text = json.dumps(fields) if as_json else f"{done.hotkey} holds UID {done.uid} on netuid {netuid}"
    sys.stdout.write(text + "\n")
