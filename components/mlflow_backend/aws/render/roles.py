"""One role of a backend, with the document that says what it may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.render.policies import Document


@dataclass(frozen=True, kw_only=True)
class Role:
    """One role by its part. `document` takes the values that `given` names, which only AWS can give.

    These are `store`, the bucket; `key`, the ARN of its key; and ARNs of secrets: `server`, `database`, `cache`,
    `admin`, the instance's own, and `api_keys`; None for one that the backend does not have.
    """

    part: str
    given: tuple[str, ...]
    document: Callable[..., Document]

    def written(self, found: Mapping[str, Any]) -> Document:
        """Return the document, once AWS has given what it names; `found` may hold more."""
        return self.document(**{name: found[name] for name in self.given})
