"""What a miner of a fleet is handed: its settings by a file, nothing of the shell's settings."""

from __future__ import annotations

from pathlib import Path

from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.member import command, environment, hand_over
from streetvision.settings.loading import load_settings


def test_the_process_reads_the_settings_that_the_fleet_checked(fleet: Fleet) -> None:
    member = fleet.members[1]
    environ = environment({"MINER_AXON_PORT": "1", "MINER_ENV": "/etc/x", "PATH": "/bin"})
    words = command(hand_over(member))
    said: list[str] = []
    assert words[-2] == "--env_file"
    read = load_settings(words[-2:], environ, cwd=Path("/"), warn=said.append)
    assert (read, said) == (member.settings, [])


def test_secrets_and_everything_else_of_the_environment_go_on() -> None:
    environ = environment({"ALERTS_SLACK_URL": "https://x", "HF_TOKEN": "t", "THREADS": "3", "MODEL_THREADS": "4"})
    assert environ == {"MALLOC_ARENA_MAX": "2", "ALERTS_SLACK_URL": "https://x", "HF_TOKEN": "t", "THREADS": "3"}
