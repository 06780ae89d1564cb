"""The dynamic resource that fails a preview whose image, account, secrets or certificate are not what they must be.

It works in `check`, because that runs in a preview too, and because a preview shows inputs only: `pinnedImage`,
`imageHeads` and `findings` are inputs that `check` writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from mlflow_backend.dynamic import Provider, inputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

    from mlflow_backend.preflight.arguments import PreflightArgs


class PreflightProvider(Provider):
    """Looks in `check`; creating and updating only keep what was found."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Look at everything that the inputs name."""
        from mlflow_backend.preflight import resource  # noqa: PLC0415 (the provider process starts light)

        checked = resource.check(news)
        return CheckResult(checked.inputs, [CheckFailure(prop, reason) for prop, reason in checked.problems])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what was asked and what the image is."""
        from mlflow_backend.preflight import resource  # noqa: PLC0415

        return DiffResult(changes=bool(resource.changed(olds, news)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Keep what `check` found."""
        return CreateResult(id_="preflight", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Keep what `check` found now."""
        return UpdateResult(outs=news)


class Preflight(Resource, module="mlflow-backend", name="Preflight"):
    """Outputs: `pinnedImage`, the image by digest; `imageHeads`, the schema heads it needs; `findings`, all checks."""

    pinnedImage: pulumi.Output[str]  # noqa: N815 (the engine's name of the property is the attribute's)
    imageHeads: pulumi.Output[Mapping[str, str]]  # noqa: N815
    findings: pulumi.Output[Sequence[Mapping[str, str]]]

    def __init__(self, name: str, args: PreflightArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the resource; everything that runs the image takes it from `pinnedImage`."""
        found = {"pinnedImage": None, "imageHeads": None, "findings": None}
        super().__init__(PreflightProvider(), name, {**inputs_of(args), **found}, opts)
