"""`streetvision challenge`: ask a miner as a validator would, from here or from outside."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streetvision.challenge.exchange import NO_ANSWER, Outcome, Protocol, Target, send
from streetvision.challenge.meaning import meaning_of
from streetvision.challenge.target import (
    Running,
    check_hotkey,
    find_caller,
    find_target,
    pictures_in,
    running_miner,
    split_endpoint,
)
from streetvision.cli.shared import StateDir, miner_settings, print_json
from streetvision.errors import OperatorError, reason
from streetvision.settings.settings import Settings
from streetvision.status.wording import printable
from streetvision.subnet import SUBNET


def challenge(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE|FOLDER...", help="JPEG, PNG or WebP.")],
    *,
    endpoint: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Whom to ask. Default: the miner of the state folder.")
    ] = None,
    hotkey: Annotated[
        str | None, typer.Option(metavar="SS58", help="The hotkey of the miner there. Default: that of your own miner.")
    ] = None,
    validator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Sign as this development key. Default on the mock network: Bob."),
    ] = None,
    wallet_name: Annotated[str | None, typer.Option("--wallet.name", help="Sign with this wallet's hotkey.")] = None,
    wallet_hotkey: Annotated[str | None, typer.Option("--wallet.hotkey", help="Name of the hotkey.")] = None,
    wallet_path: Annotated[Path | None, typer.Option("--wallet.path", help="Folder of the wallets.")] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="legacy: bittensor 9 and 10; btauth: bittensor 11.")
    ] = Protocol.LEGACY,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=120.0, metavar="SECONDS", help="Longest wait for an answer.")
    ] = SUBNET.timeout_s,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Challenges at once.")] = 1,
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="How often each picture is sent.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, the summary last.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Send pictures to a miner as signed challenges, and say what came back.

    Without --endpoint the running miner is asked; on the mock network a validator of the mocked chain signs. From
    another machine the refusal of a hotkey that is no validator shows that the miner can be reached.
    Exit code 1 when any picture was not answered.
    """
    found = pictures_in(pictures)
    if hotkey is not None:
        check_hotkey(hotkey)
    if endpoint is not None:
        split_endpoint(endpoint)
    settings = _settings(state_dir, wallet_name, wallet_hotkey, wallet_path)
    named = (wallet_name, wallet_hotkey) != (None, None)
    running = _running(settings)
    if endpoint is None and isinstance(running, OperatorError):
        find_target(None, hotkey, running, "")
    is_mock = isinstance(running, Running) and running.is_mock and endpoint in (None, running.endpoint)
    caller = find_caller(settings, validator, is_mock=is_mock, named=named)
    target = find_target(endpoint, hotkey, running, str(caller.signer.ss58_address))
    if not as_json:
        sys.stderr.write(f"asking {target}, miner {target.hotkey}, as {caller.name}\n")
    ask = partial(_ask, target, caller.signer, protocol, timeout)
    outcomes = list(_told(_asked(ask, found * repeat, concurrency), as_json))
    _summarize(outcomes, target, as_json)
    if any(outcome.probability is None for outcome in outcomes):
        raise typer.Exit(1)


def _settings(state_dir: Path | None, name: str | None, hotkey: str | None, path: Path | None) -> Settings:
    settings = miner_settings(state_dir)
    return replace(
        settings,
        wallet_name=name or settings.wallet_name,
        wallet_hotkey=hotkey or settings.wallet_hotkey,
        wallet_path=path or settings.wallet_path,
    )


def _running(settings: Settings) -> Running | OperatorError:
    try:
        return running_miner(settings)
    except OperatorError as error:
        return error


def _ask(target: Target, signer: Any, protocol: Protocol, timeout: float, path: Path) -> tuple[Path, Outcome]:  # noqa: ANN401
    try:
        image = path.read_bytes()
    except OSError as error:
        return path, Outcome(NO_ANSWER, None, 0.0, f"not sent, the file cannot be read ({reason(error)})")
    return path, send(target, signer, image, protocol=protocol, timeout_s=timeout)


def _asked(ask: partial[tuple[Path, Outcome]], paths: list[Path], concurrency: int) -> Iterator[tuple[Path, Outcome]]:
    """One after another or several at once, told in the order of the pictures; Ctrl-C ends it."""
    pool = ThreadPoolExecutor(concurrency)
    try:
        yield from pool.map(ask, paths)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _told(outcomes: Iterable[tuple[Path, Outcome]], as_json: bool) -> Iterator[Outcome]:
    """Print each as it comes."""
    for path, outcome in outcomes:
        if as_json:
            print_json({"kind": "answer", "file": str(path), **_fields(outcome)})
        else:
            sys.stdout.write(f"{_line(outcome)}  {printable(str(path))}\n")
            sys.stdout.flush()
        yield outcome


def _fields(outcome: Outcome) -> dict[str, Any]:
    fields = asdict(outcome)
    return {**fields, "seconds": round(outcome.seconds, 4), "meaning": meaning_of(outcome)}


def _line(outcome: Outcome) -> str:
    status = "-" if outcome.status == NO_ANSWER else str(outcome.status)
    if outcome.probability is None:
        said, word = "-", "no answer"
    else:
        said, word = f"{outcome.probability:.4f}", "roadwork" if outcome.probability > SUBNET.threshold else "none"
    return f"{said:>6}  {word:<9} {1e3 * outcome.seconds:7.0f} ms  {status:>3}"


def _summarize(outcomes: list[Outcome], target: Target, as_json: bool) -> None:
    """Counts, times of the answers, and each meaning once."""
    times = sorted(outcome.seconds for outcome in outcomes if outcome.probability is not None)
    meanings = Counter(meaning_of(outcome) for outcome in outcomes if outcome.probability is None)
    middle, most = (times[len(times) // 2], times[-1]) if times else (None, None)
    if as_json:
        counts = {"sent": len(outcomes), "answered": len(times), "median_s": middle, "longest_s": most}
        print_json({"kind": "summary", "endpoint": str(target), "hotkey": target.hotkey, **counts, "why": meanings})
        return
    pace = "" if middle is None or most is None else f"; median {1e3 * middle:.0f} ms, longest {1e3 * most:.0f} ms"
    sys.stdout.write(f"{len(times)} of {len(outcomes)} answered{pace}\n")
    for meaning, count in meanings.items():
        sys.stdout.write(f"{count} x {printable(meaning)}\n")
