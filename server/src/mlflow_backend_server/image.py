"""`python -m mlflow_backend_server.image VERSION TRACKING_HEAD AUTH_HEAD`: what an image's labels say is what it holds.

Run while the image is built: the labels come from build arguments, and a preflight believes them without a layer.
"""

from __future__ import annotations

import importlib.util
import sys

from mlflow_backend_server.db.chains import installed_package, installed_version, read_chains

EXPECTED_ARGUMENTS = 3
#: What the label `mlflow-backend.drivers` promises, and the module that each is.
DRIVERS = {"psycopg2": "psycopg2", "boto3": "boto3", "google-cloud-storage": "google.cloud.storage", "redis": "redis"}


def differences(version: str, tracking: str, auth: str) -> list[str]:
    """Return one sentence for each argument that is not what the installed MLflow says, and each missing driver."""
    chains = read_chains(installed_package())
    found = {
        "MLFLOW_VERSION": (version, installed_version()),
        "TRACKING_HEAD": (tracking, chains["tracking"].head),
        "AUTH_HEAD": (auth, chains["auth"].head),
    }
    wrong = [f"{name} is '{said}', and the image holds {is_}." for name, (said, is_) in found.items() if said != is_]
    return wrong + [f"{name} is missing." for name, module in DRIVERS.items() if not importlib.util.find_spec(module)]


def main() -> int:
    """Print the differences; 1 when there are any, 2 for missing arguments."""
    if len(sys.argv) != EXPECTED_ARGUMENTS + 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    found = differences(*sys.argv[1:])
    sys.stderr.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
