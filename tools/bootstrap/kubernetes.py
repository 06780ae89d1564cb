"""The programs of the rig's Kubernetes cluster and Pulumi's plugin for it, built from the modules in tools/kubernetes.

`python -m tools.bootstrap.kubernetes` is what `make test` sets up besides the packages, if it runs on Linux as root.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.bootstrap import files, go, pins
from tools.bootstrap.commands import run
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.bootstrap.layout import Layout

STEP: Final = "kubernetes"
VERSION: Final = pins.pinned("tools/kubernetes/cluster/go.mod", r"^require k8s\.io/kubernetes (v\S+)$")
"""Of the cluster."""
_PROVIDER: Final = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_KUBERNETES: Final = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_BEGINNING: Final = ("-trimpath", "-mod=readonly", "-buildvcs=false")
_STAMP: Final = "k8s.io/component-base/version"
_ADDONS: Final = (
    *("./coredns", "./tiny", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    "github.com/traefik/traefik/v3/cmd/traefik",
)
_LEGO: Final = "github.com/go-acme/lego/v4"
_NO_PROVIDERS: Final = """package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("not built in: %s", name)
}
"""


def main() -> int:
    """Build all; 1 with a sentence if that fails. A machine that cannot run the cluster needs none of it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        say(STEP, "skipped: the rig's cluster needs Linux and root")
        return 0
    try:
        ensure(find_layout(dict(os.environ)), os.environ)
    except StepFailedError as failed:
        sys.stderr.write(f"set-up failed: {failed}\n")
        return 1
    return 0


def ensure(layout: Layout, environment: Mapping[str, str]) -> Mapping[str, Path]:
    """The program of each name, built if this machine has not got it yet. Raises StepFailedError."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    stamps = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    labelled = f"-X main.version={pins.KUBERNETES_PLUGIN}"
    stamped = " ".join(f"-X {_STAMP}.{name}={value}" for name, value in stamps.items())
    trimmed = f"-modfile={_trim_traefik(layout, environment) / 'go.mod'}"
    found: dict[str, Path] = {}
    for module, what, packages, flags in (
        ("cluster", "Kubernetes", [f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES], [_linked(stamped)]),
        ("provider", "Pulumi's plugin for Kubernetes", ["./pulumi-resource-kubernetes"], [_linked(labelled)]),
        ("router", "kube-router", ["github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"], [_linked()]),
        ("addons", "CoreDNS, metrics-server and Traefik", _ADDONS, [_linked(), trimmed]),
    ):
        root = layout.root / "tools" / STEP / module
        build = go.Build(what=what, step=STEP, module=root, flags=(*_BEGINNING, *flags), packages=packages)
        sources = [path.read_bytes() for path in sorted(root.rglob("*.go"))]
        folder = layout.cache / STEP / f"{module}-{files.digest(build.key().encode(), *sources)}"
        build.ensure(folder, environment, _copy_schema if module == "provider" else None)
        found.update((path.name, path) for path in folder.iterdir())
    return found


def _linked(more: str = "") -> str:
    return f"-ldflags=-s -w {more}"


def _trim_traefik(layout: Layout, environment: Mapping[str, str]) -> Path:
    """Return a folder with the go.mod by which Traefik has no clients of DNS services, half of what it is built from.

    They are one package of the module lego, of which the folder has a copy without them.
    """
    module = layout.root / "tools" / STEP / "addons"
    pinned = [(module / name).read_bytes() for name in ("go.mod", "go.sum")]
    folder = layout.cache / STEP / f"lego-{files.digest(*pinned, _NO_PROVIDERS.encode())}"
    with files.locked(folder.with_name(f"{folder.name}.lock"), step=STEP):
        if not folder.exists():
            with files.appearing(folder) as scratch:
                _copy_lego(scratch, folder, module, environment)
    return folder


def _copy_lego(scratch: Path, folder: Path, module: Path, environment: Mapping[str, str]) -> None:
    command = ("go", "mod", "download", "-json", _LEGO)
    download = run(command, deadline_s=go.DEADLINE_S, environment=environment, cwd=module)
    lego = Path(json.loads(download)["Dir"])
    shutil.copytree(lego, scratch / "lego", ignore=lambda *_: {"providers"}, copy_function=shutil.copyfile)
    for each in (scratch / "lego").rglob("*/"):
        each.chmod(0o755)
    (scratch / "lego").chmod(0o755)
    files.write_whole(scratch / "lego" / "providers" / "dns" / "none.go", _NO_PROVIDERS)
    shutil.copyfile(module / "go.sum", scratch / "go.sum")
    replaced = f"replace {_LEGO} => {folder / 'lego'}"
    files.write_whole(scratch / "go.mod", (module / "go.mod").read_text() + replaced + "\n")


def _copy_schema(scratch: Path, run_go: go.Go) -> None:
    """Put the plugin's schema beside it."""
    module = json.loads(run_go("list", "-m", "-json", _PROVIDER))
    for name in ("schema.json", "terraform-mapping.json"):
        shutil.copyfile(Path(module["Dir"], "cmd", "pulumi-resource-kubernetes", name), scratch / name)


if __name__ == "__main__":
    sys.exit(main())
