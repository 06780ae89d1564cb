"""A real container registry on loopback, and images pushed to it by the distribution API itself.

The registry is `crane registry serve`: one on PATH, else built once a machine from the Go module that registry/go.mod
pins. Where there is neither crane nor Go, the tests that need it are skipped, visibly.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = Path(__file__).parent / "registry"
PACKAGE = "github.com/google/go-containerregistry/cmd/crane"
BUILD_DEADLINE_S = 300
STOP_DEADLINE_S = 10

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

LABELS = {
    "mlflow-backend.mlflow-version": "3.17.2",
    "mlflow-backend.drivers": "psycopg2,boto3,redis",
    "mlflow-backend.schema-head.tracking": "dc11669786a5",
    "mlflow-backend.schema-head.auth": "f1a2b3c4d5e6",
}


def digest_of(body: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Store:
    """One repository of a registry that can be pushed to."""

    host: str
    repository: str = "mlflow"

    def image(
        self,
        tag: str,
        *,
        architecture: str = "amd64",
        labels: dict[str, str] | None = None,
        user: str = "10001",
        media_type: str = OCI_MANIFEST,
    ) -> str:
        """Push an image with one platform and return its digest."""
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": LABELS if labels is None else labels, "User": user},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        body = json.dumps(config).encode()
        self.blob(body)
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(body),
                "size": len(body),
            },
            "layers": [],
        }
        return self.manifest(tag, manifest)

    def index(self, tag: str, *entries: tuple[str, str], media_type: str = OCI_INDEX) -> str:
        """Push an index of (digest, architecture) pairs, with an attestation as build tools add one."""
        manifests = [
            {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": arch}}
            for digest, arch in entries
        ]
        unknown = {"os": "unknown", "architecture": "unknown"}
        manifests.append({**manifests[0], "platform": unknown})
        return self.manifest(tag, {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests})

    def blob(self, body: bytes) -> None:
        """Push a blob in one request."""
        url = f"http://{self.host}/v2/{self.repository}/blobs/uploads/?digest={digest_of(body)}"
        response = urllib3.request("POST", url, body=body, headers={"Content-Type": "application/octet-stream"})
        assert response.status == 201, response.data

    def manifest(self, tag: str, manifest: dict[str, Any]) -> str:
        """Push a manifest under a tag and return its digest, as the registry tells it."""
        url = f"http://{self.host}/v2/{self.repository}/manifests/{tag}"
        body = json.dumps(manifest).encode()
        response = urllib3.request("PUT", url, body=body, headers={"Content-Type": manifest["mediaType"]})
        assert response.status == 201, response.data
        assert response.headers["Docker-Content-Digest"] == digest_of(body)
        return digest_of(body)


@contextlib.contextmanager
def registry() -> Iterator[Store]:
    """Run a registry on a free port until the end of the block."""
    command = [str(_crane()), "registry", "serve", "--address", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        match = re.search(r"serving on port (\d+)", process.stderr.readline())
        assert match is not None, "the registry did not start"
        yield Store(host=f"127.0.0.1:{match[1]}")
    finally:
        process.terminate()
        process.communicate(timeout=STOP_DEADLINE_S)


def _crane() -> Path:
    found = shutil.which("crane")
    if found:
        return Path(found)
    sums = (MODULE / "go.sum").read_bytes() + (MODULE / "go.mod").read_bytes()
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlflow-backend" / "crane"
    built = root / f"crane-{hashlib.sha256(sums).hexdigest()[:16]}"
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        pytest.skip("images are read from a real registry (crane registry serve), and there is neither crane nor Go")
    root.mkdir(parents=True, exist_ok=True)
    scratch = built.with_suffix(f".{os.getpid()}")
    command = [go, "build", "-mod=readonly", "-trimpath", "-o", str(scratch), PACKAGE]
    subprocess.run(command, cwd=MODULE, check=True, capture_output=True, timeout=BUILD_DEADLINE_S)
    scratch.replace(built)
    return built
