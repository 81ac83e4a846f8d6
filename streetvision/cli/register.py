"""`streetvision register`: register the hotkey and leave, with the miner's own settings."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from loguru import logger

from streetvision.config import Settings
from streetvision.errors import ConfigError
from streetvision.logs import configure_logging
from streetvision.settings_io import build_parser, load_settings

if TYPE_CHECKING:
    from streetvision.chain.registration import Registration

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
    configure_logging()
    settings = load_settings(arguments, os.environ, cwd=Path.cwd(), warn=logger.warning)
    if not settings.register:
        raise ConfigError("say how to register: --register burn --register.max_burn TAO, or --register pow")
    done = asyncio.run(_register(settings))
    if as_json:
        fields = {"uid": done.uid, "hotkey": done.hotkey, "method": done.method, "price_tao": done.price_tao}
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        sys.stdout.write(f"{done.hotkey} holds UID {done.uid} on netuid {settings.netuid}\n")


async def _register(settings: Settings) -> Registration:
    from streetvision.miner import Miner  # brings torch and the chain's SDK, which take seconds to import

    miner = Miner(settings)
    try:
        return await miner.register_only()
    finally:
        await miner.close()
