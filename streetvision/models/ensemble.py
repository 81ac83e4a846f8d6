"""A version of several checkpoints, test-time views or a router: a folder with `ensemble.json`, strictly checked.

A member is a checkpoint in a folder inside the ensemble's own, or a version of the registry that holds the ensemble;
either way the hash of its weights is written down, so that an ensemble means the same weights for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from streetvision.models.checks import (
    FORMAT,
    SEMVER,
    SHA256,
    CheckpointError,
    check,
    common_fields,
    exact_keys,
    load_json,
    matches,
    number,
    printable,
    to_json_text,
)
from streetvision.models.config import ModelConfig
from streetvision.models.folder import ENSEMBLE_FILE, bundled_checkpoint, read_config, read_description
from streetvision.models.router import RouterConfig
from streetvision.models.versions import BUNDLED
from streetvision.models.views import MAX_PASSES, PLAIN_TEXT, View, parse_views

MAX_MEMBERS = 8
WEIGHTS = (1e-3, 1e3)

Resolve = Callable[[str], Path]
"""Finds the folder of a registry version; raises OperatorError when there is none."""


@dataclass(frozen=True, slots=True)
class Member:
    """One checkpoint of an ensemble: by `folder` or by `version`, never both."""

    sha256: str
    """Of the member's model.safetensors, hexadecimal."""
    folder: str = ""
    """Relative to the ensemble's folder and inside it."""
    version: str = ""
    """A version of the registry that the ensemble lies in, or `bundled`."""
    weight: float = 1.0
    """What its logits weigh in the average."""

    def __post_init__(self) -> None:
        check(bool(self.folder) != bool(self.version), "a member needs either a folder or a version")
        if self.folder:
            printable("a member's folder", self.folder)
            path = PurePosixPath(self.folder)
            inside = not path.is_absolute() and ".." not in path.parts and path.parts and "\\" not in self.folder
            check(bool(inside), f"a member's folder must lie inside the ensemble's own, not at {self.folder!r}")
        elif self.version != BUNDLED:
            matches("a member's version", self.version, SEMVER, "a semantic version such as 1.0.0, or bundled")
        matches("a member's sha256", self.sha256, SHA256, "64 hexadecimal digits")
        number("a member's weight", self.weight, float, *WEIGHTS)

    def __str__(self) -> str:
        return self.folder or self.version


@dataclass(frozen=True)
class EnsembleConfig:
    """All that `ensemble.json` says. Construction checks every field and raises CheckpointError with one sentence."""

    name: str
    version: str
    """Semantic version, X.Y.Z."""
    members: tuple[Member, ...]
    """Under load the first one answers alone."""
    views: tuple[str, ...] = (PLAIN_TEXT,)
    """As `streetvision.models.views` spells them; the first is the plain one. Every member sees every view."""
    created: str = ""
    """ISO 8601 with a UTC offset; empty if unknown."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """For people: what the ensemble is, its metrics and limits."""
    format: int = FORMAT
    router: RouterConfig | None = None
    """Which pictures the second of two members is asked about; None: every picture, while time allows."""

    def __post_init__(self) -> None:
        common_fields(self.format, self.name, self.version, self.created, self.card)
        check(1 <= len(self.members) <= MAX_MEMBERS, f"members must be 1 to {MAX_MEMBERS}, not {len(self.members)}")
        named = [str(PurePosixPath(str(member))) for member in self.members]
        check(len(set(named)) == len(named), "a member is named twice; give it a larger weight instead")
        check(self.version not in named, f"the ensemble {self.version} cannot be its own member")
        passes = len(self.members) * sum(view.looks for view in parse_views(self.views))
        check(passes <= MAX_PASSES, f"members times views, tiles counted, must be at most {MAX_PASSES}, not {passes}")
        if self.router is not None:
            check(len(self.members) == 2, f"a router stands between two members, not {len(self.members)}")
            check(self.views == (PLAIN_TEXT,), "a router shows its members the plain view alone")

    @property
    def looks(self) -> tuple[View, ...]:
        """The views, parsed."""
        return parse_views(self.views)

    @property
    def mixture(self) -> tuple[tuple[float, ...], float]:
        """What each member's logit weighs in the answer of all members, and what is added to their sum."""
        stack = None if self.router is None else self.router.stack
        if stack is not None:
            return (stack.first, stack.second), stack.bias
        total = sum(member.weight for member in self.members)
        return tuple(member.weight / total for member in self.members), 0.0

    def to_json(self) -> str:
        """The description as JSON text; `from_json` reads it back to an equal one."""
        data = asdict(self)
        data["members"] = [{key: value for key, value in member.items() if value != ""} for member in data["members"]]
        del data["router"]
        if self.router is not None:
            data["router"] = self.router.to_fields()
        return to_json_text("The ensemble's description", data)

    @classmethod
    def from_json(cls, source: str) -> EnsembleConfig:
        """Parse a saved description; unknown or missing keys, wrong types and bad ranges raise CheckpointError."""
        values = exact_keys(ENSEMBLE_FILE, load_json(ENSEMBLE_FILE, source), cls, optional=("router",))
        for name in ("members", "views"):
            check(isinstance(values[name], list), f"{name} must be a list")
        values["members"] = tuple(_member(item) for item in values["members"])
        values["views"] = tuple(values["views"])
        if "router" in values:
            values["router"] = RouterConfig.from_fields(values["router"])
        return cls(**values)


def is_ensemble(folder: Path) -> bool:
    """Whether the folder holds an ensemble rather than a checkpoint."""
    return (folder / ENSEMBLE_FILE).is_file()


def read_ensemble(folder: Path) -> EnsembleConfig:
    """The description of the ensemble in that folder; raises CheckpointError."""
    return EnsembleConfig.from_json(read_description(folder, ENSEMBLE_FILE))


def sibling_versions(folder: Path) -> Resolve:
    """Finds versions where the registry keeps them: beside the ensemble's own folder."""

    def resolve(version: str) -> Path:
        if version == BUNDLED:
            return bundled_checkpoint()
        found = folder.resolve().parent / version
        if not found.is_dir():
            raise CheckpointError(
                f"The ensemble in {folder} needs the version {version}, which is not beside it: "
                f"add {version} to the registry first."
            )
        return found

    return resolve


def member_folders(folder: Path, ensemble: EnsembleConfig, resolve: Resolve | None = None) -> tuple[Path, ...]:
    """Where each member lies, in order; `resolve` finds registry versions (default: beside the ensemble)."""
    find = resolve or sibling_versions(folder)
    return tuple(_inside(folder, m.folder) if m.folder else find(m.version) for m in ensemble.members)


def member_configs(folder: Path, ensemble: EnsembleConfig, resolve: Resolve | None = None) -> tuple[ModelConfig, ...]:
    """The members' descriptions, in order; raises CheckpointError when one is missing or holds other weights."""
    folders = member_folders(folder, ensemble, resolve)
    return tuple(_config(path, member) for path, member in zip(folders, ensemble.members, strict=True))


def _config(folder: Path, member: Member) -> ModelConfig:
    if is_ensemble(folder):
        raise CheckpointError(f"The member {member} is an ensemble itself; name its checkpoints instead.")
    config = read_config(folder)
    if config.sha256 != member.sha256:
        raise CheckpointError(
            f"The member {member} holds weights with sha256 {config.sha256[:12]}… but {ENSEMBLE_FILE} names "
            f"{member.sha256[:12]}…: use the weights that the ensemble was made with, or make it anew."
        )
    return config


def _inside(folder: Path, relative: str) -> Path:
    """A link must not lead out of the ensemble's folder."""
    found = folder / relative
    if not found.resolve().is_relative_to(folder.resolve()):
        raise CheckpointError(f"The member's folder {relative!r} leads out of {folder}.")
    return found


def _member(item: object) -> Member:
    if not isinstance(item, dict):
        raise CheckpointError("The model description is wrong: a member must be an object.")
    known = {"folder", "version", "sha256", "weight"}
    for name in item:
        check(name in known, f"a member has the unknown key {name!r}")
    check("sha256" in item, "a member lacks the key 'sha256'")
    for name in ("folder", "version"):
        check(isinstance(item.get(name, ""), str), f"a member's {name} must be text")
    return Member(**item)
