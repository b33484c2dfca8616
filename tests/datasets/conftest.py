"""A server on this machine that serves a folder, with ranges, and fails where a test wants it to."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import epiattn as attn
from epiattn.datasets import _download


class Server:
    """``faults[path]`` are the answers to the next requests of a file: a status, or ``("cut", n)``: n bytes only."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.faults: dict[str, list] = defaultdict(list)
        self.requests: list[tuple[str, str, str]] = []  # method, path, range
        self.ranges, self.head, self.version = True, True, '"1"'

    def of(self, method: str, path: str = "") -> list[str]:
        """Ranges that were asked for, "" for whole files."""
        return [each[2] for each in self.requests if each[0] == method and each[1].endswith(path)]


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            name = self.path.lstrip("/")
            wanted = self.headers.get("Range", "")
            served.requests.append((self.command, name, wanted))
            if not body and not served.head:
                return self.send_error(405)
            fault = served.faults[name].pop(0) if body and served.faults[name] else None
            if isinstance(fault, int):
                self.send_response(fault)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            path = folder / name
            if not path.is_file():
                return self.send_error(404)
            content = path.read_bytes()
            start, size = 0, len(content)
            if wanted and served.ranges and self.headers.get("If-Range", served.version) == served.version:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= size:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("ETag", served.version)
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            if body:
                self.wfile.write(content[start:][: fault[1] if fault else None])
            return None

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(folder, f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """The cache of a test; and no waiting between attempts."""
    monkeypatch.setattr(_download, "WAIT", 0.0)
    attn.settings.cache_dir = tmp_path / "cache"
    yield tmp_path / "cache"
    attn.settings.cache_dir = None
