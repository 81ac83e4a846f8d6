"""Make a real dendrite's environment: `python scripts/make_interop_env.py 10.5.0` fills `.envs/bittensor-10.5.0`.

Versions are pinned by tests/interop/constraints-VERSION.txt; a stamp of its contents makes a second run free.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "tests" / "interop"


def versions() -> list[str]:
    """The versions that have a constraints file."""
    return sorted(path.stem.removeprefix("constraints-") for path in CONSTRAINTS.glob("constraints-*.txt"))


def make(version: str) -> str:
    """Make or complete one environment; returns what happened in a few words."""
    constraints = CONSTRAINTS / f"constraints-{version}.txt"
    folder = ROOT / ".envs" / f"bittensor-{version}"
    stamp = folder / ".installed"
    wanted = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        stamp.touch()
        return f"{folder.relative_to(ROOT)} is up to date"
    venv.create(folder, with_pip=True, clear=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    subprocess.run([folder / "bin" / "python", *install, f"bittensor=={version}"], check=True)
    stamp.write_text(wanted)
    return f"{folder.relative_to(ROOT)} is ready"


def main(arguments: list[str]) -> int:
    """Make the environments named, or all of them."""
    unknown = sorted(set(arguments) - set(versions()))
    if unknown:
        print(f"No constraints file for {', '.join(unknown)}: choose from {', '.join(versions())}.", file=sys.stderr)
        return 2
    for version in arguments or versions():
        try:
            print(make(version))
        except subprocess.CalledProcessError as error:
            print(f"pip could not install bittensor=={version} (exit {error.returncode}): see above.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
