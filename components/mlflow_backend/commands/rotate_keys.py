"""Draw new encryption keys for what MLflow stores encrypted: secrets of webhooks and of the gateway.

The next update gives them to the servers and, once no server has the old ones, re-encrypts everything in one
transaction. Old keys are kept: dumps that were taken under them are re-encrypted when they are restored. No key is
printed. Exit codes: 0 done; 2 usage; 3 refused; 4 the platform failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mlflow_backend.commands.command import ended
from mlflow_backend.commands.stacks import local_backend, on_ecs, place_on_ecs, settings_of
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.releases.holds import refuse_rotation


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    parser = argparse.ArgumentParser(prog="scripts/rotate_keys.py", description=__doc__)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    parser.add_argument(
        "--lost",
        action="store_true",
        help="local: the file of the keys is lost; give up what was encrypted with them",
    )
    options = parser.parse_args(arguments)
    work = _rotate_on_ecs if on_ecs(options.stack, root) else _rotate_locally
    return ended("rotate_keys", lambda: work(options.stack, root, lost=options.lost), stack=options.stack)


def _rotate_locally(stack: str, root: Path, *, lost: bool) -> int:
    from mlflow_backend.local import encryption, holding  # noqa: PLC0415 - only what the stack's target needs
    from mlflow_backend.local.state import StateDir  # noqa: PLC0415

    state = StateDir(local_backend(stack, root))
    refuse_rotation(holding.standing(state, requested=None))
    if lost:
        aside = encryption.give_up(state)
        print("The lost keys are given up." + (f" What was left of them is in {aside}." if aside else ""))
    else:
        encryption.rotate(state)
        print("New keys are drawn.")
    print(f"Run `make up STACK={stack}`: servers get the new keys, and what can be read is re-encrypted.")
    return ExitCode.DONE


def _rotate_on_ecs(stack: str, root: Path, *, lost: bool) -> int:
    from mlflow_backend.aws import clients  # noqa: PLC0415 - as above
    from mlflow_backend.aws.secret_values import SecretFailed  # noqa: PLC0415
    from mlflow_backend.ecs import holding, secrets  # noqa: PLC0415

    if lost:
        raise Refused(
            "Secrets Manager keeps the versions of the secret, so the keys are not lost.",
            fix="Restore the secret with `aws secretsmanager restore-secret`, and update.",
        )
    settings = settings_of(stack, root)
    place = place_on_ecs(settings, stack, root)
    refuse_rotation(holding.read(settings, place, clients.connections(place.region).store).standing)
    try:
        secrets.rotate_keys(place.region, place.secret("server"))
    except SecretFailed as failure:
        raise Refused(str(failure), fix="Deploy the stack with `pulumi up`, and repeat.") from None
    print("New keys are drawn. Update the stack: servers get them, and what can be read is re-encrypted.")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
