"""Uploads to a stand-in of the hub on this machine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clsnorm.errors import InputError
from clsnorm.export.hub_upload import require_repository

Hub = tuple[str, dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    """The four requests of an upload of small files, kept in ``received``."""

    received: dict[str, Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.received.setdefault("tokens", set()).add(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            self.received["created"] = json.loads(body)
            self._answer({"url": f"http://{self.headers['Host']}/org/name"})
        elif "/preupload/" in self.path:
            same = {"uploadMode": "regular", "shouldIgnore": False}
            self._answer({"files": [{"path": file["path"], **same} for file in json.loads(body)["files"]]})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.received[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._answer(
                {"commitUrl": f"http://{self.headers['Host']}/org/name/commit/1", "commitOid": "1", "hookOutput": ""}
            )
        else:
            self._answer({}, status=404)

    def do_GET(self) -> None:
        self._answer({"siblings": []} if "/api/models/" in self.path else {}, status=200)

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    received: dict[str, Any] = {}
    handler = type("Bound", (Handler,), {"received": received})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()


def pushed(folder: Path, address: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Runs `push` in a process of its own: the hub's client reads its address when it is imported."""
    code = (
        "import sys; from pathlib import Path; from clsnorm.export.hub_upload import push\n"
        "from clsnorm.errors import InputError\n"
        "try: print(push(Path(sys.argv[1]), 'org/name', private=sys.argv[2] == 'private'))\n"
        "except InputError as error: sys.exit(str(error))"
    )
    hub = {"HF_ENDPOINT": address, "HF_TOKEN": "hf_stand_in", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-c", code, str(folder), options.get("kind", "private")]
    return subprocess.run(words, env={**os.environ, **hub}, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_all_files_go_to_a_private_repository(hub: Hub, tmp_path: Path) -> None:
    address, received = hub
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    done = pushed(tmp_path, address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{address}/org/name"
    assert received["created"].get("visibility") == "private" or received["created"].get("private") is True
    assert received["created"]["name"] == "name"
    assert received["config.json"] == b"{}"
    assert received["model.safetensors"] == b"weights"
    assert received["tokens"] == {"Bearer hf_stand_in"}


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    done = pushed(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot upload to org/name on http://127.0.0.1:9")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["name", "a/b/c", "org/", "org/na me"])
def test_names_of_repositories(name: str) -> None:
    require_repository("org/name-1.0")
    with pytest.raises(InputError, match="ORG/NAME"):
        require_repository(name)
