"""What the demo's terminal shows: the miner's milestones, a line per challenge, and a summary."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streetvision.errors import EXIT_FAILED, EXIT_STOPPED
from streetvision.subnet import SUBNET, matthews

MIN_ANSWERED_SHARE = 0.98
NEXT = """
Next, the same by hand, and then in earnest (docs/running.md):
{activate}\
  python neurons/miner.py --subtensor.network mock --axon.ip 127.0.0.1
  streetvision challenge FOLDER_OF_PICTURES    in another terminal, as is the next
  streetvision status
  streetvision init      writes the settings of your own miner
  streetvision doctor    says what it still lacks"""
_QUIET = ("answered ", "standing: ")


class Display:
    """Collects the two processes' events and prints them; `ready` is set when the miner serves."""

    def __init__(self, console: Console) -> None:
        self.ready = asyncio.Event()
        self._console = console
        self._events: list[dict[str, Any]] = []
        self._problems: list[str] = []

    def introduce(self, seconds: float, photos: Path | None) -> None:
        """Say what is about to happen."""
        length = f"{seconds:g} s of challenges" if seconds else "challenges until Ctrl-C"
        sources = "procedural street scenes" + (" and real photos without roadwork" if photos else "")
        self._console.print("[bold]streetvision demo[/bold]: the real miner, a mocked chain, a simulated validator")
        self._console.print(
            f"{length}; {sources}; blocks of 0.25 s, tempo of 20 blocks. Nothing leaves this machine.\n"
        )

    def miner_says(self, line: dict[str, Any]) -> None:
        """One line of the miner's JSON log."""
        message, level = str(line["message"]), line["level"]
        if message.startswith("ready"):
            self.ready.set()
        if level in {"WARNING", "ERROR", "CRITICAL"}:
            self._problems.append(message)
        if message.startswith(_QUIET) or level == "DEBUG":
            return
        colour = {"SUCCESS": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(level, "dim")
        self._console.print(f"[{colour}]miner   {escape(message)}[/{colour}]", highlight=False, soft_wrap=True)
        if message.startswith("ready"):
            self._console.print(f"\n[bold]{_HEADER}[/bold]", highlight=False, no_wrap=True)

    def validator_says(self, event: dict[str, Any]) -> None:
        """One event of the simulated validator."""
        if event.get("event") == "challenge":
            self._events.append(event)
            self._console.print(challenge_line(event), highlight=False, no_wrap=True)

    def fail_to_start(self, code: int | None, *, stopped: bool) -> int:
        """The miner never became ready."""
        if stopped:
            self._console.print("stopped before the miner was ready")
            return EXIT_STOPPED
        self._console.print(f"[red]the miner did not become ready (exit code {code}); its last words are above[/red]")
        return EXIT_FAILED

    def summarize(self, *, miner_exit: int) -> int:
        """Print the summary; 0 when the miner answered (nearly) everything and drained cleanly."""
        answered = [e for e in self._events if e["answer"] is not None]
        self._console.print()
        if answered:
            self._console.print(_summary(self._events, answered))
        healthy = bool(answered) and len(answered) >= MIN_ANSWERED_SHARE * len(self._events) and miner_exit == 0
        if not healthy:
            self._console.print(f"[red]not as it should be: {len(answered)} of {len(self._events)} answered, "
                                f"miner's exit code {miner_exit}[/red]")  # fmt: skip
        for problem in dict.fromkeys(self._problems):
            self._console.print(f"[yellow]the miner warned: {escape(problem)}[/yellow]", soft_wrap=True)
        if healthy:
            self._console.print(next_steps(), highlight=False, markup=False)
        return 0 if healthy else 1


def next_steps() -> str:
    """What a newcomer may type next; `make demo` leaves the environment that it made off the shell's path."""
    script = Path(sys.prefix) / "bin" / "activate"
    missing = shutil.which("streetvision") is None and script.is_file()
    return NEXT.format(activate=f"  . {script}\n" if missing else "")


_HEADER = " ".join(
    [
        f"{'validator':<9} {'challenge':<22} {'truth':<8} {'answer':>6}  ",
        f"{'ms':>4} {'reward':>6} {'rank':>6} {'emission':>8}",
    ]
)


def challenge_line(event: dict[str, Any]) -> str:
    """One challenge in 80 columns, with Rich markup for the verdict; emission in alpha per tempo."""
    truth = "roadwork" if event["roadwork"] else "none"
    answer = event["answer"]
    if answer is None:
        verdict = f"[red]{'HTTP ' + str(event['status']) if event['status'] else 'silence':>8}[/red]"
    else:
        right = (answer > SUBNET.threshold) == event["roadwork"]
        verdict = f"{answer:6.3f} " + ("[green]✓[/green]" if right else "[red]✗[/red]")
    asked = f"{event['validator']:<9} {event['what'][:22]:<22} {truth:<8}"
    line = f"{asked} {verdict} {event['ms']:5.0f} {event['reward']:6.3f}"
    if event["rank"] is None:
        return f"{line} not registered"
    return f"{line} {event['rank']:>3}/{event['miners']:<2} {event['emission']:8.3f}"


def _summary(events: list[dict[str, Any]], answered: list[dict[str, Any]]) -> Table:
    truth = [e["roadwork"] for e in answered]
    said = [e["answer"] > SUBNET.threshold for e in answered]
    right = sum(t == s for t, s in zip(truth, said, strict=True))
    latencies = sorted(e["ms"] for e in answered)
    ranked = [e for e in events if e["rank"] is not None]
    first, last = ranked[0], ranked[-1]
    table = Table(title="summary", show_header=False, title_justify="left")
    table.add_row("challenges answered", f"{len(answered)} of {len(events)}")
    table.add_row("accuracy, MCC", f"{right / len(answered):.3f}, {matthews(truth, said):.3f}")
    table.add_row("latency, median and worst", f"{statistics.median(latencies):.0f} ms, {latencies[-1]:.0f} ms")
    for kind in ("scene", "photo"):
        part = [e for e in answered if e["what"].startswith(kind)]
        if part:
            hits = sum((e["answer"] > SUBNET.threshold) == e["roadwork"] for e in part)
            table.add_row(f"{kind}s answered right", f"{hits} of {len(part)}")
    table.add_row("reward at the end", f"{statistics.fmean(e['reward'] for e in events[-2:]):.3f}")
    table.add_row("incentive rank", f"{first['rank']} -> {last['rank']} of {last['miners']}")
    table.add_row("emission, alpha per tempo", f"{first['emission']:.3f} -> {last['emission']:.3f}")
    return table
