"""Draw new encryption keys for what MLflow stores encrypted: secrets of webhooks and of the gateway.

The next update gives them to the servers and, once no server has the old ones, re-encrypts everything in one
transaction. Old keys are kept: dumps that were taken under them are re-encrypted when they are restored. No key is
printed. Exit codes: 0 done; 2 usage; 3 refused; 4 the platform failed.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode
from mlflow_backend.releases.journal import refuse_unfinished
from mlflow_backend.releases.pins import refuse_rotation


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    parser = argparse.ArgumentParser(prog="scripts/rotate_keys.py", description=__doc__)
    stacks.add_choice(parser, default="local")
    parser.add_argument(
        "--lost",
        action="store_true",
        help="local: the file of the keys is lost; give up what was encrypted with them",
    )
    options = parser.parse_args(arguments)
    return ended("rotate_keys", partial(_rotate, options, root), options)


def _rotate(options: argparse.Namespace, root: Path) -> int:
    deployed = stacks.opened(options, root)
    refuse_unfinished(deployed.store)
    refuse_rotation(deployed.ledger.state())
    print(deployed.platform.rotate_keys(lost=options.lost))
    print("Update the stack: servers get the new keys, and what can be read is re-encrypted.")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
