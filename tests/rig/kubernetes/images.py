"""Images of the cluster: made of programs or built by buildah, and imported into containerd, without a registry."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import platform
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
_KEPT_S: Final = 7 * 86400
_STORES: Final = Path(__file__).with_name("stores")


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
    """Keep what lies in the cache, and remove what nothing used for a week; several trees share it."""
    path.touch()
    for other in (*CACHE.glob("*.tar"), *CACHE.glob("store-*[!k]")):
        if time.time() - other.stat().st_mtime > _KEPT_S:
            shutil.rmtree(other) if other.is_dir() else other.unlink(missing_ok=True)
    return path
