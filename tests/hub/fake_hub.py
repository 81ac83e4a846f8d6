"""A hub of the tests' own on loopback: commits, large files behind a redirect to another origin, tags, and faults.

It speaks the routes that huggingface_hub uses for models and datasets, over real HTTP with range requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "testtokentesttoken"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
LARGE_FROM = 1024
"""Bytes from which a file is kept as a large one."""


@dataclass
class Repo:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    head: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    gated: bool = False
    labels: list[str] = field(default_factory=list)
    """Tags that its card gives it, such as `license:mit`."""

    def commit(self, files: dict[str, bytes], message: str = "") -> str:
        self.head = hashlib.sha1(f"{len(self.commits)}{self.head}".encode()).hexdigest()
        self.commits[self.head] = files
        self.messages.append(message)
        return self.head

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return self.head
        return self.tags.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    """Answer `status` to the next `times` requests whose method and path match; or cut their body after `cut` bytes."""

    pattern: str
    times: int = 1
    status: int = 0
    cut: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": "injected"}'
    hang: float = 0.0


@dataclass
class FakeHub:
    repos: dict[str, Repo] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers (lower case) of every request, the storage's included."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    endpoint: str = ""
    storage: str = ""
    """Another origin, as the real hub's storage is."""
    ranges: bool = True
    lie: Callable[[dict[str, Any]], None] = lambda _: None
    """Changes what the hub says about a repository."""
    ignored: set[str] = field(default_factory=set)
    """What a .gitignore keeps out of commits."""
    always_private: bool = False
    stall_after: int | None = None
    """Send so many bytes of a large file, then nothing until `released`."""
    released: threading.Event = field(default_factory=threading.Event)

    def repo(self, name: str, files: dict[str, bytes], *, tag: str = "v1.0.0", private: bool = False) -> Repo:
        repo = self.repos[name] = Repo(private)
        commit = repo.commit({".gitattributes": b"*.safetensors filter=lfs\n", **files})
        repo.tags[tag] = commit
        return repo

    def dataset(self, name: str, files: dict[str, bytes], **what: Any) -> Repo:
        """A set of data; its name is that of another kind than a model's."""
        repo = self.repos[f"datasets/{name}"] = Repo(**what)
        repo.commit(files)
        return repo

    def fail(self, pattern: str, times: int = 1, **what: Any) -> None:
        """Let the next requests whose `METHOD /path` matches meet a Fault."""
        self.faults.append(Fault(pattern, times, **what))

    def paths(self, method: str) -> list[str]:
        return [path for done, path, _ in self.requests if done == method]

    def take_fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, line):
                fault.times -= 1
                return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[FakeHub]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            return  # the client went away, as in tests of cut connections

    def _serve(self) -> None:
        self.hub.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunked()
        fault = self.hub.take_fault(f"{self.command} {self.path}")
        if fault and fault.hang:
            self.hub.released.wait(fault.hang)
        if fault and fault.status:
            self.reply(fault.status, fault.body, fault.headers)
        else:
            self.route(body, fault.cut if fault else None)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the server's own names

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def json(self, value: object, status: int = 200) -> None:
        self.reply(status, json.dumps(value).encode(), {"content-type": "application/json"})

    def error(self, status: int, code: str = "", message: str = "") -> None:
        headers = {"x-error-message": message or code} | ({"x-error-code": code} if code else {})
        self.reply(status, json.dumps({"error": message or code}).encode(), headers)

    @property
    def signed_in(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def route(self, body: bytes, cut: int | None) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.headers["host"] == urlsplit(self.hub.storage).netloc:
            self.stored(path, body, cut)
            return
        if self.headers.get("authorization") not in (None, f"Bearer {TOKEN}"):
            self.error(401, message="Invalid credentials in Authorization header")
            return
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif found := re.fullmatch(
            r"/api/(?:models/|(?=datasets/))((?:datasets/)?[^/]+/[^/]+)(?:/(revision|preupload|commit|tag)/(.+))?", path
        ):
            self.api(found[1], found[2], found[3] or "main", body)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.batch(json.loads(body))
        elif found := re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1], found[2], found[3], cut)
        else:
            self.error(404)

    def visible(self, name: str, revision: str) -> tuple[Repo, str] | None:
        """The repository and commit, or an answer in the hub's way: 401 for a stranger, 404 for a user."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self.signed_in):
            self.error(404 if self.signed_in else 401, "RepoNotFound" if self.signed_in else "", "Repository not found")
            return None
        commit = repo.resolve(revision)
        if commit is None:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo, commit

    def create(self, wanted: dict[str, Any]) -> None:
        if not self.signed_in:
            self.error(401)
            return
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repos:
            self.error(409, message="You already created this model repo")
            return
        private = wanted.get("private", wanted.get("visibility") == "private")
        self.hub.repos[name] = Repo(bool(private) or self.hub.always_private)
        self.hub.repos[name].commit({".gitattributes": b""}, "initial commit")
        self.json({"url": f"{self.hub.endpoint}/{name}"})

    def api(self, name: str, action: str | None, revision: str, body: bytes) -> None:
        found = self.visible(name, revision)
        if found is None:
            return
        repo, commit = found
        if action in (None, "revision"):
            answer = self.info(name, repo, commit)
            self.hub.lie(answer)
            self.json(answer)
        elif not self.signed_in:
            self.error(403, message="You need write access")
        elif action == "preupload":
            files = json.loads(body)["files"]
            modes = [
                ("lfs" if f["size"] >= LARGE_FROM and f["path"].endswith(".safetensors") else "regular") for f in files
            ]
            self.json(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": m, "shouldIgnore": f["path"] in self.hub.ignored}
                        for f, m in zip(files, modes, strict=True)
                    ]
                }
            )
        elif action == "commit":
            self.commit(name, repo, body)
        elif action == "tag":
            self.tag(repo, commit, json.loads(body)["tag"])

    def info(self, name: str, repo: Repo, commit: str) -> dict[str, Any]:
        blobs = "blobs" in parse_qs(urlsplit(self.path).query)
        siblings = [listed(path, data) if blobs else {"rfilename": path} for path, data in repo.commits[commit].items()]
        return {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": repo.private,
            "siblings": siblings,
            "tags": repo.labels,
        }

    def commit(self, name: str, repo: Repo, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repo.head):
            self.error(412, message="Commit since has happened")
            return
        files = dict(repo.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repo.commit(files, header["summary"])
        self.json({"success": True, "commitOid": commit, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{commit}"})

    def tag(self, repo: Repo, commit: str, tag: str) -> None:
        if tag in repo.tags:
            self.error(409, message="Tag reference exists already")
            return
        repo.tags[tag] = commit
        self.json({})

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**item, "authenticated": True, "actions": {"upload": {"href": f"{self.hub.storage}/{item['oid']}"}}}
            for item in wanted["objects"]
        ]
        self.json({"transfer": "basic", "objects": objects})

    def resolve(self, name: str, revision: str, path: str, cut: int | None) -> None:
        found = self.visible(name, revision)
        if found is None:
            return
        repo, commit = found
        data = repo.commits[commit].get(path)
        if repo.gated and not self.signed_in:
            self.error(401, "GatedRepo", f"Access to {name} is restricted")
        elif data is None:
            self.error(404, "EntryNotFound", "Entry not found")
        elif len(data) >= LARGE_FROM:
            oid = hashlib.sha256(data).hexdigest()
            self.hub.blobs[oid] = data
            self.reply(302, headers={"location": f"{self.hub.storage}/{oid}", "x-repo-commit": commit})
        else:
            self.send_data(data, cut)

    def stored(self, path: str, body: bytes, cut: int | None) -> None:
        oid = path.strip("/")
        if self.command == "PUT":
            assert hashlib.sha256(body).hexdigest() == oid
            self.hub.blobs[oid] = body
            self.reply(200)
        elif self.hub.stall_after is not None:
            self.stall(self.hub.blobs[oid], self.hub.stall_after)
        else:
            self.send_data(self.hub.blobs[oid], cut)

    def stall(self, data: bytes, after: int) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:after])
        self.wfile.flush()
        self.hub.released.wait(60.0)
        self.close_connection = True

    def send_data(self, data: bytes, cut: int | None) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        if not asked or not self.hub.ranges:
            self.reply(200, data, cut=cut)
            return
        start = int(asked[1])
        if start >= len(data):
            self.error(416)
            return
        part = data[start : int(asked[2]) + 1] if asked[2] else data[start:]
        self.reply(206, part, {"content-range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}, cut)


def listed(path: str, data: bytes) -> dict[str, Any]:
    """A file as the hub lists it."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    item: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": blob}
    if len(data) >= LARGE_FROM:
        item["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return item
