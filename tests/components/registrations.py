"""What a program registers under Pulumi's mocks, recorded for a test to look at, and the snapshots of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.runtime.mocks import MockMonitor

from tests import mocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pulumi.runtime.mocks import Mocks

UPDATE: Final = "UPDATE_SNAPSHOTS"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One resource as it was registered."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any] = field(repr=False)
    protect: bool
    retained: bool
    ignored: tuple[str, ...]
    needs: tuple[str, ...] = field(repr=False)
    provider: str
    timeouts: dict[str, str]
    property_needs: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    @property
    def line(self) -> str:
        """What of a resource must not change unnoticed: its URN without the stack, and which inputs it has."""
        keys = " ".join(sorted(key for key in self.inputs if not key.startswith("__")))
        return f"{self.urn.split('::', 2)[2]} [{keys}]"


class Recorder(MockMonitor):
    """Keeps each registration request."""

    def __init__(self, mocks: Mocks) -> None:
        """Start with nothing registered."""
        super().__init__(mocks)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the monitor's own
        """Register, and keep the request."""
        register: Callable[[Any], Any] = super().RegisterResource
        answer = register(request)
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(
                Registered(
                    urn=answer.urn,
                    type=request.type,
                    name=request.name,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    protect=request.protect,
                    retained=request.retainOnDelete,
                    ignored=tuple(request.ignoreChanges),
                    needs=tuple(request.dependencies),
                    provider=request.provider,
                    timeouts={
                        what: getattr(request.customTimeouts, what)
                        for what in ("create", "update", "delete")
                        if getattr(request.customTimeouts, what)
                    },
                    property_needs={key: frozenset(of.urns) for key, of in request.propertyDependencies.items()},
                )
            )
        return answer


def registered_by(
    build: Callable[[], pulumi.Output[Any]], mocks: Mocks, *, stack: str, preview: bool = False
) -> list[Registered]:
    """Run `build` as a program of its own and return what it registered."""
    recorder = Recorder(mocks)
    mocked.run(build, mocks, stack=stack, preview=preview, monitor=recorder)
    return recorder.registered


def snapshot(registered: list[Registered]) -> str:
    """Return the lines that guard URNs: every type, name and parent, and which inputs each has."""
    return "".join(f"{line}\n" for line in sorted(each.line for each in registered))


def assert_as_recorded(found: str, path: Path) -> None:
    """Compare with a snapshot; with UPDATE_SNAPSHOTS=1 write it first, to be read as a diff."""
    if os.environ.get(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def of_type(registered: list[Registered], name: str) -> list[Registered]:
    """Return the resources whose type's last part is `name`."""
    return [each for each in registered if each.type.rsplit(":", 1)[-1] == name]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Go through nested inputs and give each leaf with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from walk(item, f"{path}[{number}]")
    else:
        yield path, value
