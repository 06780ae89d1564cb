"""What a program registers under Pulumi's mocks, recorded for a test to look at, and the snapshots of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from tests import mocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlflow_backend.backend import Backend

UPDATE: Final = "UPDATE_SNAPSHOTS"


OF_EVERY_TARGET: Final[dict[str, dict[str, Any]]] = {
    "Migration": {"applied": 0, "head": "abc", "authHead": None, "dump": None},
    "Reencryption": {"lost": []},
    "Verification": {"verdict": "pass", "finished": "now", "summary": "", "table": "", "revision": "7"},
}


class FakePlatform(Mocks):
    """Answers each registration with its inputs and what the platform adds, by the last part of the resource's type.

    In a preview nothing is there yet, but what `check` writes among the inputs.
    """

    def __init__(
        self,
        added: Callable[[MockResourceArgs, str], Mapping[str, Any]],
        *,
        preview: bool,
        checked: Mapping[str, Mapping[str, Any]] | None = None,
        calls: Mapping[str, Callable[[MockCallArgs], Any]] | None = None,
    ) -> None:
        """Take what is added to a resource of a kind, what `check` writes, and the answers to calls by token."""
        self.added, self.preview, self.checked, self.calls = added, preview, checked or {}, calls or {}

    def call(self, args: MockCallArgs) -> Any:
        """Answer the questions that the backend asks, and no other."""
        return self.calls[args.token](args)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Answer with the inputs and what is added to them."""
        kind = args.typ.rsplit(":", 1)[-1]
        if kind in self.checked:
            return kind, {**args.inputs, **self.checked[kind]}
        if self.preview:
            return None, {}
        return f"{args.name}-id", {**args.inputs, **OF_EVERY_TARGET.get(kind, {}), **self.added(args, kind)}


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


def registered_with(
    make: Callable[[], Backend], mocks: Mocks, *, stack: str, preview: bool = False
) -> list[Registered]:
    """Register a backend with its exports as a program of its own and return what it registered."""

    def build() -> pulumi.Output[Any]:
        exported = make().outputs().exports()
        return pulumi.Output.all(**{name: pulumi.Output.from_input(value) for name, value in exported.items()})

    return registered_by(build, mocks, stack=stack, preview=preview)


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


def assert_urns_kept(record: Callable[..., list[Registered]], variant: str, path: Path) -> None:
    """Compare a variant with its snapshot; each URN is one resource's, and a preview knows as many.

    So before anything exists, nothing is missing from the plan and nothing fails on an unknown.
    """
    registered = record(variant)
    assert_as_recorded(snapshot(registered), path)
    urns = {each.urn for each in registered}
    assert len(urns) == len(registered)
    assert {each.urn for each in record(variant, preview=True)} == urns


def assert_distinct(folder: Path, count: int) -> None:
    """Assert that a folder has that many snapshots and no two that are equal: of these one could never fail alone."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.txt")]
    assert len(set(texts)) == len(texts) == count


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
