"""Write `schema_heads.json`: which schema heads each MLflow release requires, read from the real wheels.

Run with the project's Python: `python server/tools/schema_heads.py [--output FILE] [VERSION ...]`. A new MLflow release
is one more line in RELEASES. Wheels are unpacked by uv (whose cache keeps them) and read without importing them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SERVER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SERVER / "src"))

from mlflow_backend_server.db.chains import Chain, read_chains  # noqa: E402 - found by the line above

OUTPUT = SERVER / "src" / "mlflow_backend_server" / "schema_heads.json"
#: The newest patch release of every minor release since 2.9, oldest first.
RELEASES = (
    "2.9.2", "2.10.2", "2.11.5", "2.12.2", "2.13.3", "2.14.3", "2.15.1", "2.16.2", "2.17.2", "2.18.0", "2.19.0",
    "2.20.4", "2.21.3", "2.22.5", "3.0.1", "3.1.4", "3.2.0", "3.3.2", "3.4.0", "3.5.1", "3.6.0", "3.7.0", "3.8.1",
    "3.9.0", "3.10.1", "3.11.1", "3.12.0", "3.13.0", "3.14.0", "3.15.2", "3.16.1", "3.17.2", "3.18.0",
)  # fmt: skip
DOWNLOAD_DEADLINE_S = 300


def unpack(version: str, folder: Path, *, uv: str) -> Path:
    """Unpack the wheel of one MLflow release and return its package folder.

    Raises subprocess.CalledProcessError if it cannot be had; uv says why.
    """
    arguments = ["pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
    subprocess.run(
        [uv, *arguments, "--python", sys.executable, f"mlflow=={version}"], check=True, timeout=DOWNLOAD_DEADLINE_S
    )
    return folder / "mlflow"


def read_release(version: str, *, uv: str) -> dict[str, Chain]:
    """Return the chains of one release."""
    with tempfile.TemporaryDirectory() as folder:
        return read_chains(unpack(version, Path(folder), uv=uv))


def table(releases: dict[str, dict[str, Chain]]) -> dict[str, Any]:
    """Return the content of schema_heads.json for releases given oldest first.

    Raises ValueError if a release's chain is not the beginning of the newest one's: 'ahead' would be undecidable.
    """
    newest = list(releases.values())[-1]
    revisions = {name: newest[name].ids() for name in ("tracking", "auth")}
    for version, chains in releases.items():
        for name, whole in revisions.items():
            if chains[name].ids() != whole[: len(chains[name].ids())]:
                raise ValueError(f"MLflow {version}: its {name} revisions are not how the newest release's begin")
    return {
        "versions": {version: {name: chains[name].head for name in revisions} for version, chains in releases.items()},
        "revisions": {name: list(ids) for name, ids in revisions.items()},
    }


def main() -> int:
    """Read the releases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=list(RELEASES), help="releases, oldest first (default: all)")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv that fetches the wheels")
    options = parser.parse_args()
    releases = {}
    for version in options.versions:
        releases[version] = read_release(version, uv=options.uv)
        print(f"{version}: {releases[version]['tracking'].head} {releases[version]['auth'].head}", file=sys.stderr)
    options.output.write_text(json.dumps(table(releases), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
