"""Talking to the hub: the few calls that publishing and pulling need, with time limits and patience.

huggingface_hub speaks the protocol and finds the token (HF_TOKEN, or its own login); nothing here reads, keeps or
prints it. Its own download function starts a broken file anew in each process, so `fetch` reads by ranges itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, errors, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its __all__ is computed
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,
)

from streetvision.errors import OperatorError
from streetvision.hub.errors import is_missing, is_transient, sentences, status_of, wait_asked
from streetvision.hub.files import RemoteFile, RepoRef, is_commit, size_text

CONNECT_S = 10.0
READ_S = 30.0
WRITE_S = 60.0
LONGEST_WAIT_S = 60.0
"""When the hub asks for more patience than this, the operator is told instead."""

Result = TypeVar("Result")
Arrived = Callable[[int], None]
"""Hears how many bytes more have arrived; a negative number takes some back."""


@dataclass(frozen=True, slots=True)
class RepoState:
    """A repository at one commit."""

    commit: str
    private: bool
    files: tuple[RemoteFile, ...]
    licence: str = ""
    """As its card names it; empty where it names none."""


class Hub:
    """One hub. Every method raises OperatorError with one sentence when the hub or the network fails."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        anonymous: bool = False,
        attempts: int = 5,
        read_s: float = READ_S,
        longest_wait_s: float = LONGEST_WAIT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`endpoint`: default HF_ENDPOINT, else huggingface.co. `anonymous`: send no token, as a validator would."""
        constants.HF_HUB_DISABLE_TELEMETRY = True  # the hub learns nothing about this machine
        self._token = False if anonymous else None
        self._api = HfApi(endpoint=endpoint, token=self._token, library_name="streetvision")
        self._attempts, self._longest_wait_s = attempts, longest_wait_s
        self._timeout = httpx.Timeout(connect=CONNECT_S, read=read_s, write=WRITE_S, pool=CONNECT_S)
        self._sleep = sleep

    @property
    def endpoint(self) -> str:
        """Address of the hub."""
        return self._api.endpoint

    def has_token(self) -> bool:
        """Whether there is a token to send."""
        with sentences("The login"):
            return "authorization" in build_hf_headers(token=self._token)

    def state(self, ref: RepoRef) -> RepoState:
        """The commit that a revision stands for, and its files."""
        info = self._asked(
            str(ref),
            lambda: self._api.repo_info(
                ref.repo,
                revision=ref.revision,
                repo_type=ref.kind,
                files_metadata=True,
                timeout=self._timeout.read,
            ),
        )
        if not is_commit(info.sha):
            raise OperatorError(f"{self.endpoint} names no commit for {ref}: check HF_ENDPOINT.")
        files = tuple(_listed(getattr(info, "siblings", None) or (), ref))
        return RepoState(str(info.sha), bool(info.private), files, _licence(getattr(info, "tags", None) or ()))

    def find(self, ref: RepoRef) -> RepoState | None:
        """As `state`; None when the repository, or its revision, does not exist (or is hidden from this token)."""
        try:
            return self.state(ref)
        except OperatorError as error:
            if is_missing(error):
                return None
            raise

    def fetch(self, ref: RepoRef, file: RemoteFile, part: Path, arrived: Arrived = lambda _: None) -> None:
        """Fetch a file to `part`, going on where an earlier call stopped, and compare its hash.

        `ref` names a commit, so that the parts belong together. What cannot be finished stays for the next call;
        what has another hash is deleted.
        """
        url = self._url(ref, file.name)
        with sentences(f"{file.name} of {ref}"):
            part.parent.mkdir(parents=True, exist_ok=True)
            part.touch()
            if part.stat().st_size > file.size:
                part.unlink()
                part.touch()
            arrived(part.stat().st_size)
            self._fetch_all(url, file, part, arrived)
            _compare(file, part, str(ref))

    def read(self, ref: RepoRef, name: str, limit_bytes: int) -> bytes:
        """A small file's content; OperatorError when it is larger than that."""
        url = self._url(ref, name)

        def get() -> bytes:
            content = b""
            with self._session().stream("GET", url, headers=self._headers()) as response:
                hf_raise_for_status(response)
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > limit_bytes:
                        raise OperatorError(f"{name} of {ref} is larger than {size_text(limit_bytes)}.")
            return content

        return self._asked(f"{name} of {ref}", get)

    def read_range(self, ref: RepoRef, file: RemoteFile, start: int, length: int) -> bytes:
        """`length` bytes of a file from `start` on, all of which it has."""
        url = self._url(ref, file.name)
        headers = {**self._headers(), "Accept-Encoding": "identity", "Range": f"bytes={start}-{start + length - 1}"}

        def get() -> bytes:
            content = bytearray()
            with self._session().stream("GET", url, headers=headers) as response:
                hf_raise_for_status(response)
                if response.status_code != 206:
                    raise OperatorError(f"{self.endpoint} does not send parts of {file.name}: check HF_ENDPOINT.")
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > length:
                        break
            if len(content) != length:
                raise httpx.RemoteProtocolError("the connection ended early")
            return bytes(content)

        return self._asked(f"{file.name} of {ref}", get)

    def create_public(self, repo: str) -> None:
        """Make the repository unless it exists; a new one is public."""
        self._asked(repo, lambda: self._api.create_repo(repo, private=False, exist_ok=True))

    def commit(
        self, repo: str, files: Sequence[tuple[str, Path | bytes]], removed: Iterable[str], *, message: str, parent: str
    ) -> str:
        """Upload files and remove others in one commit on top of `parent`; returns its hash.

        Not tried again by itself: after a lost answer it may have happened.
        """
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(name, content) for name, content in files
        ]
        operations += [CommitOperationDelete(name) for name in removed]
        with sentences(repo):
            self._session()
            done = self._api.create_commit(
                repo, operations, commit_message=message, revision="main", parent_commit=parent
            )
        return str(done.oid)

    def tag(self, repo: str, tag: str, commit: str, message: str) -> None:
        """Name a commit; OperatorError when the tag exists and names another."""
        try:
            self._asked(repo, lambda: self._api.create_tag(repo, tag=tag, revision=commit, tag_message=message))
        except OperatorError as error:
            if error.__cause__ is None or status_of(error.__cause__) != 409:
                raise
            named = self.find(RepoRef(repo, tag))
            if named is None or named.commit != commit:  # the same commit: only the answer got lost
                raise OperatorError(
                    f"{repo} has got a tag {tag} meanwhile, which is never overwritten: publish another version."
                ) from error

    def _asked(self, subject: str, ask: Callable[[], Result]) -> Result:
        """Call, and call again after transient failures, as the hub asks or ever more slowly."""
        with sentences(subject):
            for attempt in range(1, self._attempts):
                self._session()
                try:
                    return ask()
                except (httpx.HTTPError, OSError) as error:
                    self._wait_or_raise(error, attempt)
            self._session()
            return ask()

    def _wait_or_raise(self, error: Exception, attempt: int) -> None:
        wait = wait_asked(error)
        if not is_transient(error) or (wait or 0.0) > self._longest_wait_s:
            raise error
        self._sleep(wait if wait is not None else min(8.0, 2.0 ** (attempt - 1)))

    def _fetch_all(self, url: str, file: RemoteFile, part: Path, arrived: Arrived) -> None:
        """Read until all is there; gives up after `attempts` in a row that brought nothing new."""
        fruitless = 0
        while (before := part.stat().st_size) < file.size:
            error: Exception = httpx.RemoteProtocolError("the connection ended early")
            try:
                self._fetch_more(url, file, part, before, arrived)
            except (httpx.HTTPError, errors.OfflineModeIsEnabled) as failure:
                error = failure
            now = part.stat().st_size
            if now >= file.size:
                return
            fruitless = 1 if now > before else fruitless + 1
            if fruitless >= self._attempts:
                raise error
            if status_of(error) == 416:
                part.write_bytes(b"")
                arrived(-now)
            elif now <= before or is_transient(error):
                self._wait_or_raise(error, fruitless)

    def _fetch_more(self, url: str, file: RemoteFile, part: Path, start: int, arrived: Arrived) -> None:
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with self._session().stream("GET", url, headers=headers) as response:
            hf_raise_for_status(response)
            resumed = response.status_code == 206 and response.headers.get("content-range", "").startswith(
                f"bytes {start}-"
            )
            if start and not resumed:
                arrived(-start)
            with part.open("ab" if resumed else "wb") as target:
                _write_bounded(response.iter_bytes(), target, file, arrived)

    def _url(self, ref: RepoRef, name: str) -> str:
        return hf_hub_url(ref.repo, name, repo_type=ref.kind, revision=ref.revision, endpoint=self.endpoint)

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(token=self._token, library_name="streetvision")

    def _session(self) -> httpx.Client:
        """huggingface_hub's client, which by itself waits for ever."""
        session = get_session()
        session.timeout = self._timeout
        return session


def _licence(tags: Iterable[object]) -> str:
    """The hub repeats what a card says as a tag."""
    named = (str(tag).removeprefix("license:") for tag in tags if str(tag).startswith("license:"))
    return next(named, "")


def _listed(siblings: Iterable[object], ref: RepoRef) -> Iterable[RemoteFile]:
    for item in siblings:
        name, size, lfs = getattr(item, "rfilename", None), getattr(item, "size", None), getattr(item, "lfs", None)
        if not isinstance(name, str) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise OperatorError(f"The hub does not say how large the files of {ref} are: check HF_ENDPOINT.")
        yield RemoteFile(name, size, getattr(lfs, "sha256", None), getattr(item, "blob_id", None))


def _write_bounded(chunks: Iterable[bytes], target: BinaryIO, file: RemoteFile, arrived: Arrived) -> None:
    for chunk in chunks:
        if target.tell() + len(chunk) > file.size:
            raise OperatorError(
                f"{file.name} is longer than the {size_text(file.size)} that the hub lists: not fetched."
            )
        target.write(chunk)
        arrived(len(chunk))


def _compare(file: RemoteFile, part: Path, subject: str) -> None:
    """The hub lists sha256 for large files and git's hash for small ones."""
    if file.sha256 is not None:
        with part.open("rb") as content:
            right = hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    else:
        content_bytes = part.read_bytes()
        header = b"blob %d\0" % len(content_bytes)
        right = hashlib.sha1(header + content_bytes, usedforsecurity=False).hexdigest() == file.blob_id
    if not right:
        part.unlink()
        raise OperatorError(f"{file.name} of {subject} arrived with another hash than the hub lists: pull it again.")
