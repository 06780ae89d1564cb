"""The image store of a cluster, prepared once a machine: an import takes a minute, links to what one made take seconds.

`python -m tests.rig.kubernetes.prepared` is what `make test` does before the tests, which then build nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.rig import processes
from tests.rig.kubernetes import images, parts
from tests.rig.kubernetes.namespaces import Namespaces, Program
from tests.server import containers, server_image
from tests.server.services import until
from tools.bootstrap import files, kubernetes
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import say

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE_S: Final = 300
_STEP: Final = "image store"


def why_not() -> str | None:
    """Return why this machine cannot prepare one, None if it can; Debian's packages are installed."""
    return processes.missing() or containers.why_not() or parts.why_missing()


def ensure() -> Path:
    """Return the folder of a containerd that has the images of the cluster, and `images.json` with their names."""
    archives = {
        "addons": images.addons(kubernetes.ensure(find_layout(dict(os.environ)), os.environ)),
        "stores": images.stores(),
        server_name(server_image.VERSION): images.server(server_image.VERSION),
    }
    folder = images.CACHE / f"store-{files.digest(*(path.name.encode() for path in archives.values()))}"
    with files.locked(folder.with_name(f"{folder.name}.lock"), step=_STEP):
        if not folder.exists():
            say(_STEP, "importing the images of the rig's cluster, once a machine")
            with files.appearing(folder) as scratch:
                _import(scratch, archives)
    return images.used(folder)


def server_name(version: str) -> str:
    """Return the name of the server's image of a version of MLflow."""
    return f"server-{version}"


def copy(prepared: Path, folder: Path) -> dict[str, str]:
    """Give a cluster's folder the prepared store, and return the images by name.

    Its files are linked, because no container writes to the layers that it stands on; the databases are copied.
    """
    same_disk = prepared.stat().st_dev == folder.stat().st_dev
    way = "-al" if same_disk else "-a"
    subprocess.run(("cp", way, prepared / "containerd", folder), check=True, timeout=_DEADLINE_S)
    for database in (folder / "containerd").rglob("*.db"):
        database.unlink()
        shutil.copyfile(prepared / database.relative_to(folder), database)
    return dict(json.loads((prepared / "images.json").read_text()))


def import_archive(namespaces: Namespaces, name: str, archive: Path) -> str:
    """Import an image into the containerd in these namespaces, and return its name by digest."""
    ctr = ("ctr", "--namespace=k8s.io", "images")
    tag = f"{images.REGISTRY}/{name}:1"
    namespaces.run(*ctr, "import", archive, deadline_s=_DEADLINE_S)
    digest = namespaces.run(*ctr, "ls", f"name=={tag}").splitlines()[1].split()[2]
    namespaces.run(*ctr, "tag", tag, f"{images.REGISTRY}/{name}@{digest}")
    return f"{images.REGISTRY}/{name}@{digest}"


def _import(scratch: Path, archives: dict[str, Path]) -> None:
    folder = scratch / "running"
    folder.mkdir()
    namespaces = Namespaces()
    program = Program(namespaces, folder / "log", parts.write_containerd(folder))
    program.start()
    try:
        listening = ("test", "-S", parts.SOCKET)
        until(lambda: namespaces.run(*listening) or True, what="containerd", deadline_s=_DEADLINE_S)
        names = {name: import_archive(namespaces, name, path) for name, path in archives.items()}
    finally:
        namespaces.close()
        program.wait()
    (folder / "containerd").rename(scratch / "containerd")
    shutil.rmtree(folder)
    files.write_whole(scratch / "images.json", json.dumps(names))


if __name__ == "__main__":
    if why := why_not():
        say(_STEP, f"skipped, with the tests of the rig's cluster: {why}")
    else:
        ensure()
    sys.exit(0)
