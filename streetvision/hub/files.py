"""What of a repository is a model, judged by its list of files alone, before anything is fetched.

A stranger's repository is hostile until shown otherwise. Only the names below are ever fetched, each to a path made of
the same name, so neither `../` nor a pickle, a script or a thousand other files can reach the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from streetvision.errors import OperatorError
from streetvision.hub.card import CARD_FILE, CARD_LIMIT_BYTES
from streetvision.models.ensemble import MAX_MEMBERS
from streetvision.models.folder import CONFIG_FILE, CONFIG_LIMIT_BYTES, ENSEMBLE_FILE, PICKLED, WEIGHTS_FILE
from streetvision.models.open_clip_files import OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, TOKENIZER_FILES
from streetvision.models.router import MAX_ROUTER_BYTES, ROUTER_FILE

HUB = "hf:"
"""Before owner/name@revision, where other sources may be named too."""
README_FILE = "README.md"
LICENSE_FILE = "LICENSE"
CLASSIFIER = "transformers"
"""Kind of a repository that holds an image classifier of that library."""
OPEN_CLIP = "open_clip"
"""Kind of a repository that holds an image and a text tower of that library."""
TOKENIZER_LIMIT_BYTES = 64 << 20
"""Of a file of a tokenizer: Gemma's 256,000 words take 34 MiB."""
TRANSFORMERS_CONFIG = "config.json"
TRANSFORMERS_PREPROCESSOR = "preprocessor_config.json"

RepoKind = Literal["model", "dataset"]
GIB = 2**30
DEFAULT_LIMIT_BYTES = 16 * GIB
"""Of one pull, all files together: the largest DINOv3 fits in half precision."""
DEFAULT_REVISION = "main"

LIMITS = {
    CARD_FILE: CARD_LIMIT_BYTES,
    ROUTER_FILE: MAX_ROUTER_BYTES,
    **dict.fromkeys(TOKENIZER_FILES, TOKENIZER_LIMIT_BYTES),
}
"""Bytes of small files that differ from a description's."""

_HUB_SITES = ("https://huggingface.co/", "https://hf.co/", "http://huggingface.co/", "huggingface.co/", "hf.co/")
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_NAME}/{_NAME}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,99}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RepoRef:
    """A repository on the hub at a revision."""

    repo: str
    """owner/name."""
    revision: str = DEFAULT_REVISION
    """Tag, branch or commit."""
    kind: RepoKind = "model"

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, as the hub lists it."""

    name: str
    size: int
    """Bytes."""
    sha256: str | None = None
    """Of a large file."""
    blob_id: str | None = None
    """git's own hash, of a small file."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of a repository that make up its model."""

    kind: str
    """`checkpoint`, `ensemble`, `transformers` (an image classifier to convert) or `open_clip`."""
    files: tuple[RemoteFile, ...]
    """The small ones first: they are checked before weights are fetched."""

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)


def parse_ref(text: str) -> RepoRef:
    """Read owner/name, owner/name@revision, the same after `hf:`, or the address of a page on the hub.

    OperatorError for anything else, names that lead out of a folder included.
    """
    rest = text.strip().removeprefix(HUB)
    for site in _HUB_SITES:
        if rest.lower().startswith(site):
            rest = rest[len(site) :].rstrip("/").replace("/tree/", "@", 1)
            break
    repo, _, revision = rest.partition("@")
    check_repo(repo)
    if "@" in rest:
        check_revision(revision)
    return RepoRef(repo, revision or DEFAULT_REVISION)


def check_repo(repo: str) -> None:
    """OperatorError unless this is owner/name."""
    if _REPO.fullmatch(repo) is None or ".." in repo or "--" in repo or repo.endswith(".git"):
        raise OperatorError(f"{repo!r:.100} is no Hugging Face repository: write owner/name, or owner/name@tag.")


def check_revision(revision: str) -> None:
    """OperatorError unless this can be a tag, a branch or a commit."""
    if _REVISION.fullmatch(revision) is None or ".." in revision:
        raise OperatorError(f"{revision!r:.100} is no tag, branch or commit: write owner/name@tag, such as @v1.0.0.")


def is_commit(text: object) -> bool:
    """Whether this is a full commit hash, which always names the same content."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def choose(
    listing: Iterable[RemoteFile], repo: str, *, limit_bytes: int = DEFAULT_LIMIT_BYTES, open_clip: bool = False
) -> Choice:
    """Find the model in a repository's list of files; OperatorError when there is none that may be fetched.

    `open_clip` wants both towers of a model of that library, which nothing else looks for.
    """
    files = {file.name: file for file in listing}
    kind = _open_clip(files, repo) if open_clip else _kind(files, repo)
    chosen = [files[name] for name in files if _belongs(name, kind)]
    _check_sizes(chosen, repo, limit_bytes)
    return Choice(kind, tuple(sorted(chosen, key=lambda file: (is_weights(file.name), file.name))))


def narrow(choice: Choice, folders: Iterable[str]) -> Choice:
    """The choice for an ensemble without the checkpoints that its description does not name as members."""
    named = {"", *(folder.strip("/") for folder in folders)}
    return Choice(choice.kind, tuple(file for file in choice.files if file.name.rpartition("/")[0] in named))


def is_weights(name: str) -> bool:
    """Whether this file holds weights, and not a description."""
    return name.rpartition("/")[2] in (WEIGHTS_FILE, OPEN_CLIP_WEIGHTS)


def is_ours(name: str) -> bool:
    """Whether a file of that name is what publishing writes, so that a later version may replace or remove it."""
    return any(_belongs(name, kind) for kind in ("checkpoint", "ensemble"))


def _kind(files: Mapping[str, RemoteFile], repo: str) -> str:
    if CONFIG_FILE in files and ENSEMBLE_FILE in files:
        raise OperatorError(
            f"{repo} holds both {CONFIG_FILE} and {ENSEMBLE_FILE}: which of them is the model is unclear."
        )
    if ENSEMBLE_FILE in files:
        return "ensemble"
    if WEIGHTS_FILE in files and CONFIG_FILE in files:
        return "checkpoint"
    if WEIGHTS_FILE in files and TRANSFORMERS_CONFIG in files:
        return CLASSIFIER
    raise OperatorError(_no_model(files, repo))


def _open_clip(files: Mapping[str, RemoteFile], repo: str) -> str:
    missing = [name for name in (OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, *TOKENIZER_FILES[:2]) if name not in files]
    if missing:
        raise OperatorError(f"{repo} has no {missing[0]}, so it holds no model of open_clip's: name another one.")
    return OPEN_CLIP


def _no_model(files: Mapping[str, RemoteFile], repo: str) -> str:
    pickled = sorted(name for name in files if name.endswith(PICKLED))
    if OPEN_CLIP_WEIGHTS in files:
        return f"{repo} holds two towers of open_clip's: a SigLIP 2 is added as siglip2:{repo.rpartition('/')[2]}."
    if WEIGHTS_FILE in files:
        return f"{repo} has weights but neither {CONFIG_FILE} nor {TRANSFORMERS_CONFIG}: they cannot be interpreted."
    if any(name.endswith(".safetensors.index.json") for name in files):
        return f"{repo} holds its weights in pieces: ask its owner for one {WEIGHTS_FILE}."
    if pickled:
        return (
            f"{repo} holds pickled weights ({pickled[0]!r:.80}), which can run code when they are loaded: "
            f"only {WEIGHTS_FILE} is fetched, so ask its owner for that."
        )
    return f"{repo} holds no model: {WEIGHTS_FILE} with {CONFIG_FILE}, or {ENSEMBLE_FILE}, is looked for."


def _belongs(name: str, kind: str) -> bool:
    if name in (CARD_FILE, README_FILE, LICENSE_FILE):
        return True
    if kind == "checkpoint":
        return name in (CONFIG_FILE, WEIGHTS_FILE)
    if kind == OPEN_CLIP:
        return name in (OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, *TOKENIZER_FILES)
    if kind == CLASSIFIER:
        return name in (TRANSFORMERS_CONFIG, TRANSFORMERS_PREPROCESSOR, WEIGHTS_FILE)
    part, _, file = name.rpartition("/")
    return name in (ENSEMBLE_FILE, ROUTER_FILE) or (
        file in (CONFIG_FILE, WEIGHTS_FILE) and _PART.fullmatch(part) is not None and ".." not in part
    )


def _check_sizes(files: Iterable[RemoteFile], repo: str, limit_bytes: int) -> None:
    files = tuple(files)
    for file in files:
        limit = LIMITS.get(file.name, CONFIG_LIMIT_BYTES)
        if not is_weights(file.name) and file.size > limit:
            raise OperatorError(f"{file.name} in {repo} has {size_text(file.size)}, more than a description can have.")
    if sum(is_weights(file.name) for file in files) > MAX_MEMBERS:
        raise OperatorError(f"{repo} holds more than {MAX_MEMBERS} sets of weights.")
    total = sum(file.size for file in files)
    if total > limit_bytes:
        raise OperatorError(
            f"{repo} holds {size_text(total)}, above the limit of {size_text(limit_bytes)}: "
            "if you trust it, allow more with --max_gib."
        )


def size_text(size: int) -> str:
    """Bytes as people read them."""
    for unit, scale in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
