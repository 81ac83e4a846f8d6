"""`streetvision completion`: real shells complete commands and options with what it prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")


def complete(shell: str, script: str, folder: Path) -> list[str]:
    """Run a script in a shell that finds `streetvision`; its lines."""
    program = folder / "streetvision"
    program.write_text(f"#!{sys.executable}\nfrom streetvision.cli.main import main\nmain()\n")
    program.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, env=environ, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("streetvision doc", ["doctor"]),
        ("streetvision models ca", ["canary"]),
        ("streetvision completion ''", ["bash", "zsh", "fish"]),
        ("streetvision doctor --js", ["--json"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, expected: list[str]) -> None:
    assert BASH is not None
    script = f"""
    eval "$(streetvision completion bash)"
    complete -p streetvision >/dev/null || exit 3
    COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _streetvision_completion streetvision
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert complete(BASH, script, tmp_path) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_script(tmp_path: Path, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    before = "autoload -Uz compinit && compinit -D; " if shell == "zsh" else ""
    source = 'eval "$(streetvision completion zsh)"' if shell == "zsh" else "streetvision completion fish | source"
    assert complete(path, f"{before}{source}; echo taken", tmp_path) == ["taken"]
