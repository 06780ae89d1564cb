"""The limits of an MLflow client with a server of another version, or of its own, and their reasons.

Measured on stock MLflow, client by client and server by server (tests/server/test_clients.py): what is listed
fails there too, and nothing else fails here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Release = tuple[int, ...]

_NEWER: Final = (1 << 30,)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An action that clients of these versions cannot do with servers of these: from the first to before the second."""

    action: str
    why: str
    clients: tuple[Release, Release] = ((), _NEWER)
    servers: tuple[Release, Release] = ((), _NEWER)

    def applies(self, *, client: Release, server: Release) -> bool:
        """Whether it is about this pair."""
        return self.clients[0] <= client < self.clients[1] and self.servers[0] <= server < self.servers[1]


def _before(*release: int) -> tuple[Release, Release]:
    return (), release


def _since(*release: int) -> tuple[Release, Release]:
    return release, _NEWER


_NO_LOGGED_MODELS: Final = "A client of MLflow 3 logs models by routes that servers have since 3.0."
_NOT_LOGGED: Final = "No model was logged, because a client of MLflow 3 needs a server of 3.0 or newer for that."
_MODELS: Final = {
    "nested_artifacts": "A client of MLflow 3 asks for logged models to list artifacts; servers have them since 3.0.",
    "model_by_artifact_path": _NO_LOGGED_MODELS,
    "sklearn_model": _NO_LOGGED_MODELS,
    "registered_model": _NOT_LOGGED,
    "aliases": _NOT_LOGGED,
    "stages": _NOT_LOGGED,
}
DIFFERENCES: Final = (
    Difference(action="model_by_name", clients=_before(3), why="log_model takes `name` since client 3.0."),
    Difference(action="model_by_name", servers=_before(3), why=_NO_LOGGED_MODELS),
    Difference(action="model_by_id", clients=_before(3), why="Models have an id since client 3.0."),
    Difference(action="model_by_id", servers=_before(3), why=_NOT_LOGGED),
    *(Difference(action=action, clients=_since(3), servers=_before(3), why=why) for action, why in _MODELS.items()),
    Difference(action="threshold_higher", clients=_since(3), why="Client 3.0 took `higher_is_better` away."),
    Difference(action="trace", clients=_before(2, 14), why="Clients trace since 2.14."),
    Difference(action="trace", servers=_before(2, 14), why="Servers take traces since 2.14."),
    Difference(
        action="trace",
        clients=((3, 4), (3, 10, 1)),
        servers=_before(3, 4),
        why="Client 3.4.0 searches traces by what servers have since 3.4; 3.10.1 asks older ones otherwise.",
    ),
    Difference(action="prompt", clients=_before(2, 21), why="Clients have prompts since 2.21."),
    Difference(action="prompt", servers=_before(2, 21), why="Servers take prompts since 2.21."),
    Difference(action="evaluation_dataset", clients=_before(3, 4), why="Clients have evaluation datasets since 3.4."),
    Difference(action="evaluation_dataset", servers=_before(3, 4), why="Servers have evaluation datasets since 3.4."),
    Difference(action="webhook", clients=_before(3, 3), why="Clients manage webhooks since 3.3."),
    Difference(action="webhook", servers=_before(3, 3), why="Servers have webhooks since 3.3."),
    Difference(action="graphql", servers=_before(2, 11), why="Servers have GraphQL since 2.11."),
)


def words(versions: tuple[Release, Release]) -> str:
    """A range of versions as people read it."""
    first, end = (".".join(map(str, release)) for release in versions)
    if versions == ((), _NEWER):
        return "all"
    if versions[0] == ():
        return f"before {end}"
    return f"since {first}" if versions[1] == _NEWER else f"{first} to before {end}"


def difference(action: str, *, client: str, server: str) -> str:
    """Why a client of one version cannot do an action with a server of another; empty if it can.

    A version that is no plain one, such as that of a server that does not say it, is taken for the newest.
    """
    pair = {"client": _release(client), "server": _release(server)}
    return next((each.why for each in DIFFERENCES if each.action == action and each.applies(**pair)), "")


def _release(version: str) -> Release:
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else _NEWER
