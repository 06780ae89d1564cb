"""The commands that messages name, as they can be typed. Pure.

Where a message is made, the stack is often not known, and it names `--stack STACK`; where it leaves towards a person,
the stack is known.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def typed(text: str, stack: str) -> str:
    """Return a message with the stack's own name in the commands that it names."""
    return text.replace("--stack STACK", f"--stack {stack}").replace("STACK=STACK", f"STACK={stack}")


def restart_database(instance: str, region: str) -> str:
    """Return the command that restarts an RDS instance, which puts its waiting parameters in force."""
    return f"aws rds reboot-db-instance --region {region} --db-instance-identifier {instance}"


def stack_of(locator: Mapping[str, str]) -> str:
    """Return the stack of a backend: its locator says it, a local one by the name of the backend's folder."""
    return locator["stack"] if "stack" in locator else PurePath(locator["state"]).name
