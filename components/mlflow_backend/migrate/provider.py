"""The dynamic resources that migrate the database before a new revision starts, and re-encrypt it after. Thin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from mlflow_backend.dynamic import Provider, document_of

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator


class MigrationProvider(Provider):
    """Shows what is pending when it checks, and brings the database to the head when it creates or updates."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Put the forecast under `plan`: in a preview it is the one thing that can be shown."""
        from mlflow_backend.migrate import resource  # noqa: PLC0415 (the provider process starts light)

        checked = resource.check(news, served=olds.get("mlflowVersion"))
        failures = [] if checked.refusal is None else [CheckFailure("mlflowVersion", checked.refusal)]
        return CheckResult(checked.inputs, failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Ask for a run if the image or the database changed, or something is pending."""
        from mlflow_backend.migrate import resource  # noqa: PLC0415

        return DiffResult(changes=resource.changed(olds, news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Migrate. Raises PlatformFailed, which says what serves now."""
        from mlflow_backend.migrate import resource  # noqa: PLC0415

        return CreateResult(id_="migration", outs=resource.run(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Migrate again: at the head it is one query."""
        from mlflow_backend.migrate import resource  # noqa: PLC0415

        return UpdateResult(outs=resource.run(news))


@dataclass(frozen=True, kw_only=True)
class MigrationArgs:
    """What is migrated: where the backend is (`locator`), for which MLflow version, and what a failure does.

    `database` is the database's identity: another one is looked at again.
    """

    locator: pulumi.Input[Locator]
    mlflow_version: pulumi.Input[str]
    database: pulumi.Input[str]
    on_failure: str


class Migration(Resource, module="mlflow-backend", name="Migration"):
    """A database at the head that the MLflow version needs.

    Outputs: `head` and `authHead`, `applied` (the number of revisions of the last run), `dump` (the id of the one
    taken before it).
    """

    head: pulumi.Output[str]
    authHead: pulumi.Output[str | None]  # noqa: N815 (the engine's name of the property is the attribute's)
    applied: pulumi.Output[int]
    dump: pulumi.Output[str | None]

    def __init__(self, name: str, args: MigrationArgs, opts: pulumi.ResourceOptions) -> None:
        """Register the resource; `opts` must make it depend on the database and on what the tool runs in."""
        props = {
            "locator": document_of(args.locator),
            "mlflowVersion": args.mlflow_version,
            "database": args.database,
            "onFailure": args.on_failure,
            **dict.fromkeys(("head", "authHead", "applied", "dump")),
        }
        super().__init__(MigrationProvider(), name, props, opts)


class ReencryptionProvider(Provider):
    """Puts what MLflow stores encrypted under the keys that the servers have, once no server has others."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Ask for a run if the servers have other keys."""
        from mlflow_backend.migrate import reencrypt  # noqa: PLC0415

        return DiffResult(changes=reencrypt.changed(olds, news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Re-encrypt. Raises Refused or PlatformFailed; nothing is changed then."""
        from mlflow_backend.migrate import reencrypt  # noqa: PLC0415

        return CreateResult(id_="reencryption", outs=reencrypt.run(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Re-encrypt again: what is in order is left alone."""
        from mlflow_backend.migrate import reencrypt  # noqa: PLC0415

        return UpdateResult(outs=reencrypt.run(news))


class Reencryption(Resource, module="mlflow-backend", name="Reencryption"):
    """Webhooks' and gateway secrets under the keys that the servers have.

    Outputs: `lost`, a sentence for each that no key can read.
    """

    lost: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        locator: pulumi.Input[Locator],
        mlflow_version: pulumi.Input[str],
        keys: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Take where the backend is, whose tool runs, and the version of the keys that its servers have.

        Empty `keys` stands for a pinned revision: what it reads is left as it is. `opts` must make it depend
        on the server.
        """
        props = {"locator": document_of(locator), "mlflowVersion": mlflow_version, "keys": keys, "lost": None}
        super().__init__(ReencryptionProvider(), name, props, opts)


def warn_of_lost(reencryption: Reencryption, beside: pulumi.Resource) -> None:
    """Show in the update what no key can read, so that somebody gives it its secret again."""

    def warn(sentences: list[str] | None) -> None:
        for sentence in sentences or ():
            pulumi.log.warn(f"{sentence}.", beside)

    reencryption.lost.apply(warn)
