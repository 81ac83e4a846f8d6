"""One version in the registry: its entry on disk, and the order of semantic versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from streetvision.errors import OperatorError

ENTRY_FILE = "entry.json"
GOLDEN_FILE = "golden.json"
BUNDLED = "bundled"
FORMAT = 1

_SEMVER = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?"
)

Order = tuple[int, int, int, int, tuple[tuple[int, int, str], ...], str]


class EntryError(OperatorError):
    """A version's folder in the registry cannot be understood."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model that can be named: where it lies, what it is, and whether it may serve."""

    version: str
    """Semantic version, or `bundled`."""
    name: str
    folder: Path
    sha256: str
    """Content hash: over the names and hashes of all the model's files, not of what the registry adds to them."""
    source: str
    """Where it came from: a folder, hf:owner/name@tag, timm:tag."""
    added: str
    """When it came into the registry, ISO 8601 in UTC; empty for the bundled one."""
    servable: bool
    why_not: str | None
    """Why it may not serve, as a clause; None when it may."""
    created: str
    """When it was made, ISO 8601; empty if unknown."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "checkpoint"
    """`checkpoint` or `ensemble`."""


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """What entry.json says."""

    version: str
    name: str
    kind: str
    source: str
    added: str
    created: str
    sha256: str
    files: dict[str, str]
    """SHA-256 of every file of the version but entry.json itself, by its path inside the folder."""
    servable: bool
    why_not: str | None
    metrics: dict[str, Any]
    card: dict[str, Any]
    format: int = FORMAT

    def to_json(self) -> str:
        """The entry as JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    def at(self, folder: Path) -> ModelVersion:
        """The version that lies in `folder`."""
        return ModelVersion(
            self.version,
            self.name,
            folder,
            self.sha256,
            self.source,
            self.added,
            self.servable,
            self.why_not,
            self.created,
            self.metrics,
            self.card,
            self.kind,
        )


def read_entry(folder: Path) -> RegistryEntry:
    """The entry of a version's folder; raises EntryError with one sentence when it is missing or damaged."""
    path = folder / ENTRY_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EntryError(f"{path} is missing or damaged: remove this version and add it again.") from error
    problem = _entry_problem(data)
    if problem is None and data["version"] != folder.name:
        problem = f"names version {data['version']!r}"
    if problem is not None:
        raise EntryError(f"{path} {problem}: remove this version and add it again.")
    return RegistryEntry(**data)


def _entry_problem(data: object) -> str | None:
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("version", "name", "kind", "source", "added", "created", "sha256"), str),
        **dict.fromkeys(("files", "metrics", "card"), dict),
        "servable": bool,
        "why_not": (str, type(None)),
        "format": int,
    }
    if not isinstance(data, dict) or set(data) != set(kinds):
        return "is not an entry of this registry"
    wrong = [name for name, kind in kinds.items() if not isinstance(data[name], kind)]
    if wrong:
        return f"has a wrong {wrong[0]!r}"
    return None if data["format"] == FORMAT else f"has format {data['format']}, which this streetvision does not know"


def is_version(text: str) -> bool:
    """Whether this is a semantic version; such a text is a safe folder name too."""
    return len(text) <= 100 and _SEMVER.fullmatch(text) is not None


def version_order(version: str) -> Order:
    """Sort key of semantic versions: pre-releases before their release, numbers in them by value."""
    match = _SEMVER.fullmatch(version)
    if match is None:
        return -1, 0, 0, 0, (), version
    major, minor, patch = (int(part) for part in match.group(1, 2, 3))
    before = match.group(4)
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in before.split(".")) if before else ()
    return major, minor, patch, 0 if before else 1, parts, match.group(5) or ""


def content_hash(files: Mapping[str, str]) -> str:
    """One hash for a model: of its files' paths and hashes, without what the registry wrote beside them."""
    lines = [f"{sha256}  {path}\n" for path, sha256 in sorted(files.items()) if path not in (ENTRY_FILE, GOLDEN_FILE)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` but its entry.json, by relative path; of what is no plain file, nothing."""
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): hash_file(path) if path.is_file() else ""
        for path in paths
        if path != folder / ENTRY_FILE
    }


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
