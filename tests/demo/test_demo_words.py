"""The demo: what it sends, and what it says at the end."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streetvision.demo.display import Display, next_steps
from streetvision.demo.run import _validator_command, run_demo
from streetvision.errors import OperatorError

EVENT = {"event": "challenge", "validator": "Bob", "what": "scene", "roadwork": True, "status": 200, "answer": 0.9,
         "ms": 30.0, "reward": 1.0, "block": 1, "rank": 2, "miners": 30, "incentive": 0.1, "emission": 0.5}  # fmt: skip


def ended(event: dict[str, object], code: int) -> tuple[int, str]:
    """Exit code and words of a demo with one challenge."""
    out = StringIO()
    display = Display(Console(file=out, width=80))
    display.validator_says(event)
    return display.summarize(miner_exit=code), out.getvalue()


def test_a_demo_that_went_well_says_what_comes_next() -> None:
    code, text = ended(EVENT, 0)
    assert code == 0
    for words in ("--subtensor.network mock", "streetvision challenge", "streetvision status", "streetvision init"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_commands_that_are_not_on_the_path_are_put_there_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "activate"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"  . {script}\n  python neurons/miner.py" in next_steps()
    (tmp_path / "streetvision").touch(0o755)
    assert "activate" not in next_steps()
    assert "\n\n" not in next_steps()


def test_a_demo_that_failed_says_that_alone() -> None:
    code, text = ended({**EVENT, "answer": None, "status": 0}, 1)
    assert code == 1
    assert "streetvision init" not in text


def test_photos_are_sent_only_from_a_folder_that_is_named(tmp_path: Path) -> None:
    assert "--photos" not in _validator_command(tmp_path, None)
    assert _validator_command(tmp_path, tmp_path)[-2:] == ["--photos", str(tmp_path)]


def test_a_folder_without_photos_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="holds no pictures"):
        run_demo(1.0, tmp_path)
    with pytest.raises(OperatorError, match="neither a picture nor a folder"):
        run_demo(1.0, tmp_path / "gone")


def test_the_package_looks_for_no_folder_beside_its_checkout() -> None:
    package = Path(__file__).parents[2] / "streetvision"
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert '/ "shared"' not in text, file
        assert "shared/" not in text, file
