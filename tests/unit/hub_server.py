"""A hub in this process: it serves `huggingface_hub` and plain downloads, and imitates the faults of real servers."""

import hashlib
import json
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

_RESOLVE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_INFO = re.compile(r"/api/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)(/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
# Git itself stores small text files, with their git hash as ETag; all others are in large-file storage.
_BY_GIT = (".json", ".txt", ".md")


@dataclass
class Repo:
    """A repository: its commits in order, each a set of files."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False

    @property
    def head(self) -> str:
        """The current commit."""
        return list(self.commits)[-1]


class HubServer:
    """A hub on a free port of 127.0.0.1, inside a `with` block.

    Attributes:
        requests: (method, path, Range header or None) of every request.
        tokens: every Authorization header received.
        plain: bodies of plain URLs by path: `{"/file.txt": b"..."}`.
        drops: path -> list of byte counts: each download of the file breaks off after the next count.
        spoils: path -> bytes that every download gets instead of the file's content.
        ranges: whether Range requests are honoured.
        delay: seconds that each download of a file takes.
        cdn: the server that stores the large files; this hub answers requests for them with a signed redirect to it.
        lies: path -> status, headers and body to answer with; a body of None never ends.
        xet: whether large files claim to be in Xet storage too (whose services do not exist here).
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.tokens: list[str] = []
        self.plain: dict[str, bytes] = {}
        self.drops: dict[str, list[int]] = {}
        self.spoils: dict[str, bytes] = {}
        self.ranges = True
        self.delay = 0.0
        self.cdn: HubServer | None = None
        self.lies: dict[str, tuple[int, dict[str, str], bytes | None]] = {}
        self.xet = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, kind: str, repo: str, files: dict[str, bytes]) -> str:
        """Add a commit with these files to `datasets` or `models` and return its 40-hex name."""
        known = self.repos.setdefault((kind, repo), Repo())
        content = sorted((path, hashlib.sha256(file).hexdigest()) for path, file in files.items())
        digest = hashlib.sha1(repr((len(known.commits), content)).encode()).hexdigest()
        known.commits[digest] = dict(files)
        return digest

    def downloads(self) -> list[str]:
        """Paths of the files requested by GET, in order."""
        return [path for method, path, _ in self.requests if method == "GET" and not path.startswith("/api/")]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def git_sha1(content: bytes) -> str:
    """The hash that git gives a file with this content."""
    return hashlib.sha1(f"blob {len(content)}".encode() + b"\0" + content).hexdigest()


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            """Keep standard error quiet."""

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if token := self.headers.get("Authorization"):
                hub.tokens.append(token)
            if path in hub.lies:
                self._lie(*hub.lies[path])
            elif path in hub.plain:
                self._file(path, hub.plain[path], {})
            elif match := _INFO.fullmatch(path):
                self._info(match["kind"], match["repo"], match["revision"])
            elif match := _TREE.fullmatch(path):
                self._tree(match["kind"], match["repo"], match["revision"])
            elif match := _RESOLVE.fullmatch(path):
                kind = "datasets" if match["kind"] else "models"
                self._resolve(path, kind, match["repo"], match["revision"], match["path"])
            else:
                self._refuse(404, "NotFound")

        def _lie(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if body is not None and "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.close_connection = True
            with suppress(ConnectionError):
                while self.command == "GET" and body is None:
                    self.wfile.write(bytes(1 << 16))
                self.wfile.write(body if body and self.command == "GET" else b"")

        def _commit(self, kind: str, name: str, revision: str | None) -> str | None:
            """The commit that a request names; None if the request was refused."""
            repo = hub.repos.get((kind, name))
            if repo is None:
                self._refuse(401, "RepoNotFound")
            elif repo.gated:
                self._refuse(403, "GatedRepo")
            elif revision in (None, "main"):
                return repo.head
            elif revision in repo.commits:
                return revision
            else:
                self._refuse(404, "RevisionNotFound")
            return None

        def _info(self, kind: str, name: str, revision: str | None) -> None:
            commit = self._commit(kind, name, revision)
            if commit is not None:
                files = [{"rfilename": path} for path in hub.repos[kind, name].commits[commit]]
                self._send(200, json.dumps({"id": name, "sha": commit, "siblings": files}).encode(), {})

        def _tree(self, kind: str, name: str, revision: str) -> None:
            commit = self._commit(kind, name, revision)
            if commit is not None:
                files = hub.repos[kind, name].commits[commit].items()
                entries = [{"type": "file", "path": p, "size": len(c), "oid": git_sha1(c)} for p, c in files]
                self._send(200, json.dumps(entries).encode(), {})

        def _resolve(self, path: str, kind: str, name: str, revision: str, file: str) -> None:
            commit = self._commit(kind, name, revision)
            if commit is None:
                return
            headers = {"X-Repo-Commit": commit}
            content = hub.repos[kind, name].commits[commit].get(file)
            if content is None:
                self._refuse(404, "EntryNotFound", headers)
            elif file.endswith(_BY_GIT):
                self._file(path, content, headers | {"ETag": f'"{git_sha1(content)}"'})
            else:
                digest = hashlib.sha256(content).hexdigest()
                headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"'}
                if hub.xet:
                    token = f"{hub.endpoint}/api/{kind}/{name}/xet-read-token/{commit}"
                    headers |= {"X-Xet-Hash": digest, "Link": f'<{token}>; rel="xet-auth"'}
                if hub.cdn is not None:
                    hub.cdn.plain[f"/{digest}"] = content
                    # The host differs from the hub's, as with the real hub.
                    there = hub.cdn.endpoint.replace("127.0.0.1", "localhost")
                    self._send(302, b"", headers | {"Location": f"{there}/{digest}?Signature=signed"})
                else:
                    self._file(path, content, headers)

        def _file(self, path: str, content: bytes, headers: dict[str, str]) -> None:
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"} | headers
            start, status = 0, 200
            if hub.ranges and (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
                start, status = int(asked[1]), 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if self.command == "GET":
                time.sleep(hub.delay)
                content = hub.spoils.get(path, content)
            cut = hub.drops[path].pop(0) if self.command == "GET" and hub.drops.get(path) else None
            self._send(status, content[start:], headers, cut)

        def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
            self._send(status, b"", {"X-Error-Code": code} | (headers or {}))

        def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                with suppress(ConnectionError):  # a client that was killed
                    self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

    return Handler
