"""Print the build arguments of the image of one MLflow version, one `NAME=value` a line; nothing is left unresolved.

`python server/tools/image_arguments.py VERSION --revision COMMIT`. Versions and schema heads come from the committed
tables, the base from the Dockerfile, the certificates of RDS from the pin below.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

SERVER = Path(__file__).resolve().parents[1]
RDS_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
#: Of the bundle with 111 certificates that AWS publishes since September 2026: stated alike by several public
#: repositories that fetched it between 2026-09-30 and 2026-10-08. When AWS publishes another, a build stops with both
#: checksums; look at what was added before the new one is written here.
RDS_CA_SHA256 = "fe45bbebf92ad3e27a583bbb2ddd1553c521ed4d49af5514dc0a40372ea5395c"

_BASE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArgumentsError(Exception):
    """An image cannot be built from this: says what is missing, and how it is had."""


def base_of(dockerfile: Path) -> str:
    """Return the base image that a Dockerfile pins; empty if it pins none."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def of_version(version: str) -> dict[str, str]:
    """Return the arguments that depend on the MLflow version.

    Raises ArgumentsError for a version without a lock, or without an entry in schema_heads.json.
    """
    if not (SERVER / "requirements" / f"{version}.txt").exists():
        raise ArgumentsError(f"MLflow {version} has no lock: add it to scripts/lock_server.py and run that")
    table = json.loads((SERVER / "src" / "mlflow_backend_server" / "schema_heads.json").read_text())
    heads = table["versions"].get(version)
    if heads is None:
        raise ArgumentsError(f"MLflow {version} is not in schema_heads.json: add it to server/tools/schema_heads.py")
    return {"MLFLOW_VERSION": version, "TRACKING_HEAD": heads["tracking"], "AUTH_HEAD": heads["auth"]}


def arguments(version: str, *, base: str, revision: str, ca_url: str, ca_sha256: str) -> dict[str, str]:
    """Return all build arguments. Raises ArgumentsError for one that is not resolved."""
    if not _BASE.fullmatch(base):
        raise ArgumentsError(
            f"the base '{base}' is not named by digest: NAME@sha256: and 64 hexadecimal digits "
            "(`python -m scripts.ci.image base` resolves it)"
        )
    if not _SHA256.fullmatch(ca_sha256):
        raise ArgumentsError("the checksum of the certificates is not a SHA-256: 64 hexadecimal digits, lower case")
    if not revision:
        raise ArgumentsError("the source revision is empty: give the commit that is built")
    return {
        **of_version(version),
        "BASE_IMAGE": base,
        "RDS_CA_URL": ca_url,
        "RDS_CA_SHA256": ca_sha256,
        "SOURCE_REVISION": revision,
    }


def main() -> int:
    """Print them; 2 with a sentence for what cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="MLflow version, one with a lock in server/requirements")
    parser.add_argument("--base", default=base_of(SERVER / "Dockerfile"), help="another base image, by digest")
    parser.add_argument("--revision", required=True, help="the commit that is built")
    parser.add_argument("--certificates-url", default=RDS_CA_URL)
    parser.add_argument("--certificates-sha256", default=RDS_CA_SHA256)
    options = parser.parse_args()
    try:
        found = arguments(
            options.version,
            base=options.base,
            revision=options.revision,
            ca_url=options.certificates_url,
            ca_sha256=options.certificates_sha256,
        )
    except ArgumentsError as error:
        print(f"image_arguments: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{name}={value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
