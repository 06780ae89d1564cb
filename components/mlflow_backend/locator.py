"""Locators: how a deployed backend is found without Pulumi, by whoever may read its store.

Each target has its own class (`<target>/locator.py`), and none holds a secret. The document of one stands in
Pulumi's state and, as `LOCATOR`, in the backend's own store; the address of that store is what people pass on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mlflow_backend import codec, targets
from mlflow_backend.contract import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.releases.stores import Store

LOCATOR: Final = "_backend/locator.json"
"""Key of the document in the backend's store."""


@dataclass(frozen=True, kw_only=True)
class Locator:
    """What every target's locator says: the stack that the backend was deployed by."""

    kind: ClassVar[str]
    """The name of the target."""
    stack: str

    @property
    def address(self) -> str:
        """The address by which `at` finds the locator again."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """Return the locator as JSON-like data."""
        # Pulumi keeps no nulls, and what it gave back must be equal to what it was given.
        said = {key: value for key, value in codec.to_document(self).items() if value is not None}
        return {"kind": self.kind, **said}


def from_document(document: Mapping[str, Any]) -> Locator:
    """Return the locator that a document describes. Raises UsageError, which names the key."""
    rest = dict(document)
    try:
        return codec.from_document(targets.get(str(rest.pop("kind", ""))).locator, rest)
    except (UsageError, codec.CodecError) as error:
        raise UsageError(
            f"locator: it describes no backend ({error})", code="locator-damaged", fix="Deploy the stack again."
        ) from None


def write(locator: Locator, store: Store) -> None:
    """Put a locator into its backend's store. Raises PlatformFailed."""
    store.replace(LOCATOR, json.dumps(locator.document(), indent=2, sort_keys=True).encode())


def read(store: Store) -> Locator | None:
    """Return the locator that a store holds, None if it holds none. Raises UsageError, PlatformFailed."""
    content = store.read([LOCATOR]).get(LOCATOR)
    if content is None:
        return None
    try:
        document = json.loads(content)
    except ValueError:
        document = {}
    return from_document(document if isinstance(document, dict) else {})


def at(address: str) -> Locator:
    """Return the locator of the backend whose store is at an address, as the stack output `locator` says it.

    Raises Refused, PlatformFailed.
    """
    for target in map(targets.get, targets.MODULES):
        store = target.store_at(address)
        if store is not None and (found := read(store)) is not None:
            return found
    raise Refused(
        f"No backend is found at {address}.",
        code="locator-not-found",
        fix="Give the stack output `locator` of a backend that was deployed and verified.",
    )
