"""What a released version left on this machine: recorded once a release, and restored for the code of today.

`python -m tests.engine.recorded VERSION` deploys the stack `local` twice with this tree, writes runs and artifacts,
stops everything, and packs state, data and the server package into tests/fixtures/VERSION/local.tar.xz. Folders and
ports of the recording stand in it as words, which `restore` replaces by those of the machine.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.caches import cache_folder, locked
from mlflow_backend.local import package, ports, processes
from mlflow_backend.local.database import binaries, unprivileged
from mlflow_backend.local.supervisor import Supervisor
from tests.engine.calls import call
from tests.engine.project import ROOT
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES: Final = ROOT / "tests" / "fixtures"
CONTENT: Final = "content.json"
"""What the recorded backend holds, as its client read it."""

_FOLDER, _CACHE = b"@FOLDER@", b"@CACHE@"
_PACKAGES: Final = Path("packages")
"""The server package that the recorded revisions run, which a machine's cache may not have any more."""
_STATE: Final = Path("project", ".backend", "local")
_DATABASE: Final = _STATE / "database"
_MADE_ANEW: Final = tuple(_STATE / name for name in ("logs", "temporary", "front"))
_KEPT_OF_THE_ENGINE: Final = Path("state", ".pulumi", "stacks")


def record(archive: Path) -> None:
    """Deploy two releases with this tree, and pack what they leave."""
    folder = Path(tempfile.mkdtemp(prefix="recorded-"))
    folder.chmod(0o755)
    stack = LocalStack(folder / "stack")
    try:
        stack.must_up()
        run = write(stack.output("trackingUrl"))
        stack.write_settings(server={"workers": 2})
        stack.must_up()
        (stack.folder / CONTENT).write_text(json.dumps({"run": run, **read(stack.output("trackingUrl"), run)}))
        Supervisor(stack.state).shutdown(timeout_s=60)
        shrink(stack.state.database)
        own = package.locate()
        shutil.copytree(
            own.path, stack.folder / _PACKAGES / own.digest, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        pack(stack.folder, archive)
    finally:
        processes.end(stack.processes(), timeout_s=5)
        shutil.rmtree(folder, ignore_errors=True)


def write(url: str) -> str:
    """Log a run with a metric and an artifact, and return its id."""
    experiment = call(url, "experiments/create", {"name": "recorded"})["experiment_id"]
    run = str(call(url, "runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"])
    call(url, "runs/log-metric", {"run_id": run, "key": "loss", "value": 0.25, "timestamp": 1})
    _artifact(url, experiment, run, b"recorded")
    return run


def read(url: str, run: str) -> dict[str, Any]:
    """Return what a run holds."""
    found = call(url, f"runs/get?run_id={run}")["run"]
    artifact = _artifact(url, found["info"]["experiment_id"], run)
    return {"metrics": found["data"]["metrics"], "artifact": artifact.decode()}


def _artifact(url: str, experiment: str, run: str, data: bytes | None = None) -> bytes:
    address = f"{url}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/note.txt"
    request = urllib.request.Request(address, data=data, method="GET" if data is None else "PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def shrink(database: Path) -> None:
    """Empty the write-ahead log of a database that was stopped cleanly: 16 MiB, of which nothing is needed."""
    reset = (*unprivileged(may_read_all=True), str(binaries() / "pg_resetwal"), "-D", str(database))
    subprocess.run(reset, check=True, capture_output=True, timeout=60)


def pack(folder: Path, archive: Path) -> None:
    """Write state, data and the stack's file into an archive."""
    words = _words(folder)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in _packed(folder):
            name = path.relative_to(folder)
            entry = tar.gettarinfo(path, str(name))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if not entry.isreg():
                tar.addfile(entry)
                continue
            data = _replaced(name, path.read_bytes(), words)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def restore(archive: Path, folder: Path) -> tuple[LocalStack, Any]:
    """Return a stack of today's program instead of the recorded one, and what that one held."""
    stack = LocalStack(folder)
    shutil.rmtree(folder / "state")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="tar")
    taken: set[int] = set()
    words = {_FOLDER: str(folder).encode(), _CACHE: str(_cache()).encode()}
    for part in json.loads(_unquoted((folder / _STATE / "ports.json").read_bytes())):
        taken.add(port := ports.free(frozenset(taken)))
        words[f"@PORT-{part}@".encode()] = str(port).encode()
    for path in _packed(folder):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(_replaced(path.relative_to(folder), path.read_bytes(), words))
    if os.geteuid() == 0:
        owner = (folder / _STATE).stat().st_uid, 65534
        for path in (folder / _DATABASE, *(folder / _DATABASE).rglob("*")):
            os.chown(path, owner[1], owner[1])
    for each in (folder / _PACKAGES).iterdir():
        with locked(_cache() / _PACKAGES / each.name):
            if not (_cache() / _PACKAGES / each.name).exists():
                shutil.move(each, _cache() / _PACKAGES / each.name)
    stack.settings = stack.read_config()
    return stack, json.loads((folder / CONTENT).read_text())


def _packed(folder: Path) -> Iterator[Path]:
    """Everything that is recorded, folders before what is in them."""
    parts = (folder / _KEPT_OF_THE_ENGINE, folder / "project", folder / CONTENT, folder / _PACKAGES)
    for path in sorted(each for part in parts for each in (part, *part.rglob("*"))):
        name = path.relative_to(folder)
        left_out = (
            path.is_socket()
            or path.is_fifo()
            or path.suffix in {".bak", ".pyc"}
            or (path.suffix == ".py" and not name.is_relative_to(_PACKAGES))
            or path.name in {"__pycache__", "Pulumi.yaml"}
            or any(name.is_relative_to(each) for each in _MADE_ANEW)
        )
        if not left_out:
            yield path


def _words(folder: Path) -> dict[bytes, bytes]:
    known = json.loads((folder / _STATE / "ports.json").read_text())
    numbers = {str(port).encode(): f"@PORT-{part}@".encode() for part, port in known.items()}
    return {str(folder).encode(): _FOLDER, str(_cache()).encode(): _CACHE, **numbers}


def _cache() -> Path:
    return cache_folder("packages").parent


def _replaced(name: Path, data: bytes, words: dict[bytes, bytes]) -> bytes:
    """Put words for texts or texts for words; the database's own files and the package hold neither."""
    if any(name.is_relative_to(each) for each in (_DATABASE, _PACKAGES)):
        return data
    pattern = b"|".join(re.escape(each) for each in sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found[0]], data)


def _unquoted(document: bytes) -> bytes:
    return re.sub(rb"@PORT-[^@]*@", b"0", document)


if __name__ == "__main__":
    record(FIXTURES / sys.argv[1] / "local.tar.xz")
