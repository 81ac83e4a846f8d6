"""Regenerate the texts that come from code: miner.env.example, docs/settings.md and docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

from streetvision.settings_io import render_env_example, render_settings_table

ROOT = Path(__file__).parents[1]

SETTINGS_PAGE = """# Settings

Every setting, generated from `streetvision/config.py` (`make docs`). Flags beat the environment, the environment beats
`miner.env`; an empty value means unset. Switches take `true` or `false`; a bare flag means `true`. Use another file
than `./miner.env` with `--env_file FILE` or `MINER_ENV=FILE`.

"""


def main() -> None:
    """Write the generated files in place."""
    (ROOT / "miner.env.example").write_text(render_env_example())
    (ROOT / "docs" / "settings.md").write_text(SETTINGS_PAGE + render_settings_table())


if __name__ == "__main__":
    main()
