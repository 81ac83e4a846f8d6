"""What gets installed is what is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "streetvision").rglob("__init__.py")}
    assert found | {"streetvision.assets.bundled", "streetvision_kernels"} == listed


def test_every_direct_dependency_is_pinned() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    for requirement in (item for group in groups for item in group if not item.startswith("streetvision[")):
        name = requirement.split(">")[0].split("=")[0].split("[")[0].split("<")[0].strip().lower().replace("_", "-")
        assert name in pinned, f"{requirement} is not in constraints.txt"


def test_constraints_name_no_address() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_the_version_is_said_once() -> None:
    from streetvision import __version__

    assert PROJECT["project"]["version"] == __version__
