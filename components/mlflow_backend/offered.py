"""The commands that messages name, as they can be typed.

The code that makes a message often does not know the backend, and writes `--stack STACK` or `STACK=STACK`. What shows
a message to a person knows the backend: by its stack, or by its locator's address if the program is not this project.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator

_SCRIPT: Final = re.compile(r"python -m scripts\.(\w+) --stack STACK")
_MADE: Final = re.compile(r"make (verify|releases|status|logs)\b( STACK=\w+)?")
_UPDATE: Final = re.compile(r"make up\b( STACK=\w+)?")


def typed(text: str, stack: str) -> str:
    """Return a message with the stack's own name in the commands that it names."""
    return text.replace("--stack STACK", f"--stack {stack}").replace("STACK=STACK", f"STACK={stack}")


def by_address(text: str, address: str) -> str:
    """Return a message with commands that need neither this project's scripts nor a stack's file."""
    text = _SCRIPT.sub(rf"python -m mlflow_backend.commands.\1 --locator {address}", text)
    text = _MADE.sub(rf"python -m mlflow_backend.commands.\1 --locator {address}", text)
    return _UPDATE.sub("pulumi up", text)


def here(text: str, *, stack: str, address: str) -> str:
    """Return a message of a Pulumi program about its own backend; Pulumi runs it in the program's folder."""
    return typed(text, stack) if Path("scripts", "rollback.py").is_file() else by_address(text, address)


def typed_for(text: str, locator: Locator) -> str:
    """Return a message of a Pulumi program about the backend of a locator."""
    return here(text, stack=locator.stack, address=locator.address)


def restart_database(instance: str, region: str) -> str:
    """Return the command that restarts an RDS instance, which puts its waiting parameters in force."""
    return f"aws rds reboot-db-instance --region {region} --db-instance-identifier {instance}"
