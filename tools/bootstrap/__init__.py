"""The set-up of all that this repository needs to run, in its ignored folders: `.venv` and `.tools`.

It owns: the Python environment, the Pulumi CLI with its language host, the shell environment that keeps Pulumi away
from the user's own login, and the caches that every clone on the machine shares.
It does not own: what a stack deploys, the environments of MLflow servers (`mlflow_backend.local` installs those).

Only the standard library is used: it runs before anything is installed.
"""

import sys
from pathlib import Path

# Before there is an environment, the product's own package is found here.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "components"))
