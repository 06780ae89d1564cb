"""Images of the cluster: made of programs or built by buildah, and imported into containerd, without a registry."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import platform
import shutil
import struct
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.rig import tiny
from tests.server import containers, server_image
from tests.server.services import PROJECT
from tools.bootstrap import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REGISTRY: Final = "rig.invalid"
"""Of every image's name; nobody asks it."""
ADDONS: Final = f"{REGISTRY}/addons:1"
"""The add-ons' own image, and every pod's first: its program waits to be ended."""
CACHE: Final = containers.CACHE.parent / "kubernetes"
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
# Of each kind, which has 0.5 to 2 GB: that of this tree and of the one before; and whatever a run may be using.
_KEPT: Final = 2
_LONGEST_RUN_S: Final = 3 * 3600
_STORES: Final = Path(__file__).with_name("stores")
_LAUNCHER: Final = Path(__file__).with_name("faulty-mlflow.sh")
# An ELF program of 64 bits for AArch64 and for x86-64, of which this machine is one, and the other is foreign.
_MACHINE_CODES: Final = {"amd64": 62, "arm64": 183}


FAULTS: Final = {"crash": "launched", "greedy": "launched", "unready": "launched", "foreign": "foreign"}
"""Fault -> the kind of its `mlflow`: tests/rig/tiny.py with that behaviour, or a program of another architecture."""


def _foreign() -> bytes:
    """Return the beginning of a program for the other architecture; it is never loaded further."""
    (code,) = (each for name, each in _MACHINE_CODES.items() if name != _MACHINES[platform.machine()])
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return (ident + struct.pack("<HHI", 2, code, 1)).ljust(64, b"\0")


def addons(programs: Mapping[str, Path]) -> Path:
    """Return the archive of the image of the add-ons, which has their programs at its root and nothing else."""
    inside = {name: programs[name] for name in ("coredns", "metrics-server", "tiny", "traefik")}
    archive = CACHE / f"addons-{files.digest(*(f'{path}'.encode() for path in inside.values()))}.tar"
    with files.locked(CACHE / "addons.lock", step="image"):
        if not archive.exists():
            scratch = archive.with_suffix(".partial")
            _write_archive(scratch, inside)
            scratch.rename(archive)
    return used(archive)


def _write_archive(archive: Path, programs: Mapping[str, Path]) -> None:
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w") as inner:
        for each, path in sorted(programs.items()):
            inner.add(path, each, filter=_plain)
    with layer.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    config: dict[str, Any] = {
        "architecture": _MACHINES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": ["/tiny"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [ADDONS], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as outer:
        outer.add(layer, "layer.tar", filter=_plain)
        for file, document in (("config.json", config), ("manifest.json", manifest)):
            content = json.dumps(document).encode()
            entry = tarfile.TarInfo(file)
            entry.size = len(content)
            outer.addfile(entry, io.BytesIO(content))
    layer.unlink()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def stores() -> Path:
    """Return the archive of the image of the stores: Postgres, Valkey and moto, from Debian and PyPI."""
    moto = importlib.metadata.version("moto")

    def build() -> str:
        return containers.build(_STORES, [f"BASE_IMAGE={containers.base_image()}", f"MOTO_VERSION={moto}"])

    return _built("stores", build, (_STORES / "Dockerfile").read_bytes(), moto.encode())


def faulty() -> Path:
    """Return the archive of the images `faulty-FAULT`: the base of the stores, with a program of ours as `mlflow`."""
    source, rest = stores(), (_LAUNCHER.read_bytes(), Path(tiny.__file__).read_bytes(), repr(FAULTS).encode())
    archive = CACHE / f"faulty-{files.digest(source.name.encode(), *rest)}.tar"
    with files.locked(CACHE / "faulty.lock", step="image"):
        if not archive.exists():
            scratch = archive.with_suffix(".partial")
            _write_faulty(scratch, source)
            scratch.rename(archive)
    return used(archive)


def _write_faulty(archive: Path, source: Path) -> None:
    with tarfile.open(source) as stores_image, tarfile.open(archive, "w") as outer:
        (described,) = json.loads(_member(stores_image, "manifest.json"))
        base, config = described["Layers"][0], json.loads(_member(stores_image, described["Config"]))
        layer = stores_image.getmember(base)
        outer.addfile(layer, stores_image.extractfile(layer))
        programs = {"launched": _LAUNCHER.read_bytes(), "foreign": _foreign()}
        own = {name: _layer({"usr/local/bin/mlflow": program}) for name, program in programs.items()}
        for name, content in own.items():
            _add(outer, f"{name}.tar", content)
        manifest = []
        for fault, kind in FAULTS.items():
            config["config"] = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"RIG_BEHAVIOUR={fault}"]}
            digests = [config["rootfs"]["diff_ids"][0], f"sha256:{hashlib.sha256(own[kind]).hexdigest()}"]
            document = {**config, "rootfs": {"type": "layers", "diff_ids": digests}, "history": []}
            _add(outer, f"{fault}.json", json.dumps(document).encode())
            tag = f"{REGISTRY}/faulty-{fault}:1"
            manifest.append({"Config": f"{fault}.json", "RepoTags": [tag], "Layers": [base, f"{kind}.tar"]})
        _add(outer, "manifest.json", json.dumps(manifest).encode())


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None, name
    return found.read()


def _layer(programs: Mapping[str, bytes]) -> bytes:
    """Return a layer with programs, and with what the launcher starts."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        for path, program in {**programs, "opt/rig/tiny.py": Path(tiny.__file__).read_bytes()}.items():
            _add(layer, path, program, mode=0o755)
    return content.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def server(version: str) -> Path:
    """Return the archive of the image that server/Dockerfile builds of a version of MLflow."""

    def build() -> str:
        with tempfile.TemporaryDirectory() as folder, server_image.certificates(Path(folder)) as served:
            return server_image.build(version, *served)

    sources = (path for path in sorted((PROJECT / "server").rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return _built(f"server-{version}", build, *(path.read_bytes() for path in sources))


def _built(name: str, build: Callable[[], str], *made_of: bytes) -> Path:
    """Return the archive of an image, which is built and written once for what it is made of."""
    archive = CACHE / f"{name}-{files.digest(containers.base_image().encode(), *made_of)}.tar"
    with files.locked(CACHE / f"{name}.lock", step="image"):
        if not archive.exists():
            scratch = archive.with_suffix(".partial")
            target = f"docker-archive:{scratch}:{REGISTRY}/{name}:1"
            scratch.unlink(missing_ok=True)
            containers.run(*containers.storage("buildah"), "push", "--quiet", build(), target)
            scratch.rename(archive)
    return used(archive)


def used(path: Path) -> Path:
    """Keep what lies in the cache, and remove what it replaced there; several trees share it."""
    path.touch()
    kind = path.name.rpartition("-")[0]
    aged = []
    for each in path.parent.glob(f"{kind}-*[!k]"):
        # Another tree may remove it at the same time.
        with contextlib.suppress(FileNotFoundError):
            aged.append((time.time() - each.stat().st_mtime, each))
    for age, each in sorted(aged)[_KEPT:]:
        if age > _LONGEST_RUN_S:
            shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)
    return path
