"""The program that checks: the upstream provider's own source with judge.go beside it, built once for each version.

Go fetches the module by its proxy and holds it to the pinned checksum, and what it needs to its own go.sum. It is
copied, because the provider's packages are internal to its module, and trimmed to the services that are used: all of
them would take hours to compile.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.bootstrap import files
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODULE: Final = "github.com/hashicorp/terraform-provider-aws"
VERSION: Final = "v1.60.1-0.20260602190131-5f2286d6d836"
"""6.47.1 and what came until 2026-06-02: the module has no version of its own major, so the proxy numbers it thus."""
SUM: Final = "h1:haLmsj0WF7e6d2TGbk0fbz5qWdA9f8w9sNpMe6J6WqM="
SERVICES: Final = (
    *("acm", "appautoscaling", "cloudwatch", "ec2", "ecr", "ecs", "elasticache", "elbv2", "iam", "kms", "logs", "meta"),
    *("rds", "route53", "s3", "s3control", "secretsmanager", "sns", "sts"),
)
JUDGE: Final = Path(__file__).with_name("judge.go")
PACKAGES: Final = "internal/provider/sdkv2/service_packages_gen.go"
CLIENTS: Final = "internal/conns/awsclient_gen.go"
DOWNLOAD_DEADLINE_S: Final = 600
BUILD_DEADLINE_S: Final = 5400
STEP: Final = "upstream"


def ensure(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the program, built where the cache has none. Raises CommandError, and OSError for a full disk."""
    key = files.digest(VERSION.encode(), " ".join(SERVICES).encode(), JUDGE.read_bytes(), Path(__file__).read_bytes())
    folder = find_layout(dict(environment)).cache / "upstream" / key
    with files.locked(folder.with_name(f"{key}.lock"), step=STEP):
        if not folder.exists():
            with files.appearing(folder) as scratch:
                _build(scratch / "judge", {**environment, "CGO_ENABLED": "0", "GOWORK": "off"})
    return folder / "judge"


def trimmed_packages(text: str, services: Iterable[str]) -> str:
    """Return the provider's list of service packages with these alone."""
    kept = set(services)

    def stays(line: str) -> bool:
        named = re.search(rf'"{MODULE}/internal/service/(\w+)"|^\s*(\w+)\.ServicePackage\(ctx\)', line)
        return named is None or (named[1] or named[2]) in kept

    return "".join(line for line in text.splitlines(keepends=True) if stays(line))


def trimmed_clients(text: str, used: Iterable[str]) -> str:
    """Return the provider's makers of service clients with those of these names alone, and what they import."""
    kept = set(used)
    head, *makers = re.split(r"(?m)^(?=func )", text)
    body = "".join(maker for maker in makers if (name := re.search(r"\) (\w+)\(", maker)) and name[1] in kept)

    def stays(line: str) -> bool:
        named = re.match(r'\s*(?:(\w+) )?"\S+/service/(\w+)"', line)
        return named is None or re.search(rf"\b{named[1] or named[2]}\.", body) is not None

    return "".join(line for line in head.splitlines(keepends=True) if stays(line)) + body


def used_clients(root: Path) -> set[str]:
    """Return the names of the client makers that a trimmed source calls."""
    found: set[str] = set()
    for path in (root / "internal").rglob("*.go"):
        parts = path.relative_to(root).parts
        left_out = parts[1] == "service" and parts[2] not in SERVICES
        if not left_out and not path.name.endswith("_test.go") and str(path.relative_to(root)) != CLIENTS:
            found |= set(re.findall(r"\.(\w+Client)\(ctx", path.read_text(encoding="utf-8")))
    return found


def _build(program: Path, environment: Mapping[str, str]) -> None:
    say(STEP, f"building {MODULE} {VERSION}; this takes half an hour, once a machine")
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-upstream-") as place:
        empty = Path(place, "empty")
        empty.mkdir()
        download = ("go", "mod", "download", "-json", f"{MODULE}@{VERSION}")
        module = json.loads(run(download, deadline_s=DOWNLOAD_DEADLINE_S, environment=environment, cwd=empty))
        if module["Sum"] != SUM:
            message = f"{MODULE} {VERSION} has the checksum {module['Sum']}, pinned is {SUM}"
            raise CommandError(message)
        source = Path(place, "source")
        for part in ("internal", "names", "version"):
            shutil.copytree(Path(module["Dir"], part), source / part, copy_function=shutil.copyfile)
        for part in ("go.mod", "go.sum"):
            shutil.copyfile(Path(module["Dir"], part), source / part)
        for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        packages, clients = source / PACKAGES, source / CLIENTS
        packages.write_text(trimmed_packages(packages.read_text(encoding="utf-8"), SERVICES), encoding="utf-8")
        clients.write_text(trimmed_clients(clients.read_text(encoding="utf-8"), used_clients(source)), encoding="utf-8")
        (source / "judge").mkdir()
        shutil.copyfile(JUDGE, source / "judge" / "main.go")
        build = ("go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(program), "./judge")
        run(build, deadline_s=BUILD_DEADLINE_S, environment=environment, cwd=source)
