"""The dynamic resources of releases, and the bases of those that each target has. Thin.

Pulumi keeps a provider by its module and class, so that each target has a class of its own over a base.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from mlflow_backend.dynamic import UPDATE_ID, Provider, document_of, is_unknown, update_id

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator


class LedgerEntryProvider(Provider):
    """Records each release whose verification passed. Nothing is deleted from a ledger."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another release is another record, and so is one that the ledger or the store has lost."""
        from mlflow_backend.releases import resource  # noqa: PLC0415 (the provider process starts light)

        return DiffResult(changes=resource.entry_changed(olds, news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Append the record."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return CreateResult(id_="ledger", outs=resource.append(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Append another record."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return UpdateResult(outs=resource.append(news))


class HoldProvider(Provider):
    """Ends an update red that had to withhold a release, after all the rest was done."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what is withheld, and whether that is accepted."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return DiffResult(changes=resource.hold_changed(olds, news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Raise Refused if a release is withheld and that is not accepted."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return CreateResult(id_="hold", outs=resource.hold(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Raise Refused as in create: the state keeps what it was, so the next update is red too."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return UpdateResult(outs=resource.hold(news))


class CandidateProvider(Provider):
    """Verifies a new release apart from users. Between updates there is nothing of it.

    `module` has `verify`, which raises CandidateFailed, and `changed`, which says whether there is another release or a
    candidate that a killed update left behind. It is imported when needed: a provider's process starts light.
    """

    module: ClassVar[str]

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Verify it. If it fails, the next update verifies it again."""
        self._module().verify(props)
        return CreateResult(id_="candidate", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Verify it."""
        self._module().verify(news)
        return UpdateResult(outs=news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another release is another candidate."""
        return DiffResult(changes=is_unknown(news) or self._module().changed(olds, news))

    def _module(self) -> Any:
        return importlib.import_module(self.module)


class RolloutProvider(Provider):
    """The wait for the platform: an update whose revision does not serve in time fails, and says why.

    `module` has `wait_for`, which waits until the release serves, and returns the outputs with its `revision`.
    """

    module: ClassVar[str]
    compared: ClassVar[tuple[str, ...]]
    """The inputs that make it another rollout; how long to wait does not matter afterwards."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait for it. Raises PlatformFailed with the platform's own reasons."""
        outs = importlib.import_module(self.module).wait_for(props)
        return CreateResult(id_=str(outs["revision"]), outs=outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """What is another rollout, or serves no more, is waited for anew: a failed `update` would keep the entry."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        changed = resource.rollout_changed(self.compared, olds, news)
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Ask once whether the revision still serves; if not, the next update waits again."""
        from mlflow_backend.releases import resource  # noqa: PLC0415

        return ReadResult(id_=id_ if resource.still_serving(props) else "", outs=props)


@dataclass(frozen=True, kw_only=True)
class LedgerEntryArgs:
    """Where the backend is, the revision, and when its verification finished."""

    locator: pulumi.Input[Locator]
    revision: pulumi.Input[str]
    verified: pulumi.Input[str]


class LedgerEntry(Resource, module="mlflow-backend", name="LedgerEntry"):
    """The record of the release that was verified. Outputs: `number`."""

    number: pulumi.Output[int]

    def __init__(self, name: str, args: LedgerEntryArgs, opts: pulumi.ResourceOptions) -> None:
        """Register the resource; `opts` must make it depend on the verification."""
        props = {
            "locator": document_of(args.locator),
            "revision": args.revision,
            "verified": args.verified,
            UPDATE_ID: update_id(),
            "number": None,
        }
        super().__init__(LedgerEntryProvider(), name, props, opts)


class Rollout(Resource):
    """A release that was seen to serve; each target has a class of its own. Outputs: `revision`."""

    revision: pulumi.Output[str]

    def __init__(
        self, provider: RolloutProvider, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]
    ) -> None:
        """Take the locator, what the provider compares, and within which `deadline` (seconds) it has to serve."""
        super().__init__(provider, name, {"revision": None, **props}, opts)


class Hold(Resource, module="mlflow-backend", name="Hold"):
    """Whether the release that the settings describe is served: `withheld` says why not, and is empty if it is."""

    withheld: pulumi.Output[str]

    def __init__(
        self, name: str, *, withheld: pulumi.Input[str], accepted: pulumi.Input[bool], opts: pulumi.ResourceOptions
    ) -> None:
        """Take why a release is withheld, and whether the update may end green all the same."""
        # The stack is for the sentence alone: it is compared with nothing.
        props = {"withheld": withheld, "accepted": accepted, "stack": pulumi.get_stack()}
        super().__init__(HoldProvider(), name, props, opts)
