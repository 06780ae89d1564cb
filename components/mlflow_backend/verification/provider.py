"""The dynamic resource that fails an update whose backend does not work. Thin.

Each real update verifies, also one that changes nothing; a preview, a refresh and a destroy send the backend nothing
(ADR 24). Why a resource and not a hook: ADR 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource

from mlflow_backend.dynamic import UPDATE_ID, Provider, document_of, inputs_of, update_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.locator import Locator
    from mlflow_backend.verification.arguments import VerificationArgs


class VerificationProvider(Provider):
    """Verifies on create, and answers every change of an input with a replacement, deleted first.

    A failed `update` would keep the old green entry, and a revert would then be 'unchanged' without a check.
    """

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse inputs that cannot be verified; what is unknown in a preview is left for later."""
        from mlflow_backend.verification import resource  # noqa: PLC0415 - the provider's process starts light

        return CheckResult(news, [CheckFailure(problem.key, problem.text) for problem in resource.problems(news)])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """A real update asks for a new verification, and so does any input that differs or is not known yet."""
        from mlflow_backend.verification import resource  # noqa: PLC0415

        changed = resource.changed_inputs(olds, news)
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Verify. Raises `VerificationFailed` with the table of checks unless the verdict is pass."""
        from mlflow_backend.verification import resource  # noqa: PLC0415

        outputs = resource.verify(props)
        return CreateResult(id_=f"{outputs['revision'] or 'backend'}@{outputs['finished']}", outs=outputs)


class Verification(Resource, module="mlflow-backend", name="Verification"):
    """A backend that was seen to work. Its outputs say which release and revision, when, and by which checks.

    `table` is plain text for people, `summary` a line of it; the report has everything for machines.
    """

    verdict: pulumi.Output[str]
    release: pulumi.Output[Mapping[str, Any]]
    revision: pulumi.Output[str]
    finished: pulumi.Output[str]
    table: pulumi.Output[str]
    summary: pulumi.Output[str]
    updateId: pulumi.Output[str]  # noqa: N815 - the attribute is named as the engine names the property
    reportPath: pulumi.Output[str]  # noqa: N815 - the attribute is named as the engine names the property

    def __init__(self, name: str, args: VerificationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the resource; `opts` must make it depend on everything that serves."""
        this_update = update_id()
        props: dict[str, Any] = {
            **inputs_of(args),
            UPDATE_ID: _asked(this_update, args),
            "locator": {} if args.locator is None else document_of(args.locator),
            **dict.fromkeys(("verdict", "revision", "finished", "table", "summary")),
        }
        del props["when"]
        super().__init__(VerificationProvider(), name, props, opts)
        if this_update:
            pulumi.Output.all(self.updateId, self.summary).apply(lambda found: self._say(this_update, *found))

    def _say(self, this_update: str, verified_in: str, summary: str) -> None:
        """Show the verdict of this update: the engine shows of a resource only that it was replaced."""
        if verified_in == this_update:
            pulumi.log.info(summary, self)


def _asked(this_update: str, args: VerificationArgs) -> pulumi.Input[str]:
    """Return the id of an update that verifies, and an empty text for one that need not."""
    if not this_update or args.when == "always" or args.locator is None:
        return this_update

    def asked(locator: Locator) -> str:
        from mlflow_backend.verification import resource  # noqa: PLC0415 - a store is read for `changed` only

        return "" if resource.passed(locator) else this_update

    return pulumi.Output.from_input(args.locator).apply(asked)
