"""The inputs of a preflight resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.components.preflight.images import Store


def inputs(store: Store, tag: str, **over: Any) -> dict[str, Any]:
    """Return the resource's inputs for an image of the registry."""
    return {
        "image": f"{store.host}/mlflow:{tag}", "platform": "linux/amd64", "mlflowVersion": "3.17.2",
        "drivers": ["psycopg2"], "registryLogin": None, "account": None, "region": None, "secrets": {},
        "reader": None, "certificate": None, "host": None, "pinnedImage": None, "imageHeads": None, "findings": None,
        **over,
    }  # fmt: skip
