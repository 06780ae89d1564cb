"""A backend as a component, for every target: what ends each of its updates, and what it gives to its user."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.contract import BackendOutputs, client_lines
from mlflow_backend.migrate.provider import Migration, MigrationArgs, Reencryption, warn_of_lost
from mlflow_backend.releases.provider import Hold, LedgerEntry, LedgerEntryArgs
from mlflow_backend.users import desired
from mlflow_backend.users.provider import Users
from mlflow_backend.verification.arguments import VerificationArgs
from mlflow_backend.verification.provider import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.locator import Locator
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What an update serves, as the resources that end it need it.

    `made_of` names what a release is installed from, under the key of the stack's output: an image's digest, or an
    environment's lock. `depends_on` identifies everything else that serving depends on: another value is verified anew.
    `keys` is the version of the encryption keys that the servers have. `report` is the path of the report's copy.
    """

    url: pulumi.Output[str]
    revision: pulumi.Input[str]
    made_of: pulumi.Input[Mapping[str, Any]]
    schema_head: pulumi.Input[str | None]
    locator: pulumi.Input[Locator]
    credentials: pulumi.Input[Mapping[str, str]]
    access: pulumi.Input[bool]
    depends_on: pulumi.Input[Any]
    keys: pulumi.Input[str]
    report: str


class Backend(pulumi.ComponentResource):
    """An MLflow backend.

    A target's class calls `_serve_pinned`, makes what serves, calls `_end_update`, then `_give_outputs`.
    """

    tracking_url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]
    locator: pulumi.Output[str]
    """The address by which every command finds the backend."""
    migration: Migration
    reencryption: Reencryption
    verification: Verification

    def __init__(self, token: str, name: str, *, settings: Settings, opts: pulumi.ResourceOptions | None) -> None:
        """Take the type token, and settings that the target's class has found to be fulfilled."""
        super().__init__(token, name, None, opts)
        self._name, self._settings = name, settings
        if settings.access.users and not pulumi.runtime.is_dry_run():
            from mlflow_backend.users import passwords  # noqa: PLC0415 - most stacks have no users

            # Before anything is changed: they are used last, when nobody but the administrator gets in without them.
            passwords.refuse_missing(settings.access.users)

    def _serve_pinned(self, pinned: pulumi.Input[PinnedRelease | None]) -> None:
        """Take the release that the ledger names, None if that of the settings is served; warn of what is withheld."""
        configured = self._settings.server.mlflow_version
        self.pinned: pulumi.Output[PinnedRelease | None] = pulumi.Output.from_input(pinned)
        self._mlflow_version = self.pinned.apply(lambda found: found.release.mlflow_version if found else configured)
        self._withheld = self.pinned.apply(lambda found: found.withheld if found else "")

        def warn(why: str) -> None:
            if why:
                pulumi.log.warn(f"The release of the settings is withheld: {why}.", self)

        self._withheld.apply(warn)

    def add_migration(
        self, locator: pulumi.Input[Locator], *, database: pulumi.Input[str], after: Sequence[pulumi.Resource]
    ) -> None:
        """Bring the database to the schema of the version that is served; `database` is its identity."""
        self.migration = Migration(
            f"{self._name}-migration",
            MigrationArgs(
                locator=locator,
                mlflow_version=self._mlflow_version,
                database=database,
                on_failure=self._settings.migrate.on_failure,
            ),
            opts=self._after(*after),
        )

    def _end_update(self, serving: Serving, *, after: Sequence[pulumi.Resource]) -> None:
        """Register what ends an update, in order: re-encryption, verification, the ledger's entry, users, and the pin.

        `after` is what they run in, and after which no server is left that has other keys, or would write with them.
        """
        name, verify, accept = self._name, self._settings.verify, self._settings.release.accept_pin
        self.tracking_url, self._report, self.release = serving.url, serving.report, self._release(serving)
        self.locator = pulumi.Output.from_input(serving.locator).apply(lambda found: found.address)
        self.reencryption = Reencryption(
            f"{name}-reencryption",
            locator=serving.locator,
            mlflow_version=self._mlflow_version,
            # What a pinned revision reads is left as it is: its servers may have other keys.
            keys=pulumi.Output.all(self.pinned, serving.keys).apply(lambda found: "" if found[0] else found[1]),
            opts=self._after(*after),
        )
        warn_of_lost(self.reencryption, self)
        self.verification = Verification(
            f"{name}-verification",
            VerificationArgs(
                url=serving.url,
                release=self.release,
                serving_digest=pulumi.Output.all(self.release, serving.depends_on).apply(digest),
                locator=serving.locator,
                report_path=serving.report,
                profile=verify.profile,
                on_failure=verify.on_failure,
                deadline=verify.deadline,
                when=verify.when,
                access=serving.access,
                credentials=serving.credentials,
                jobs=self._settings.server.jobs,
                max_upload_mib=self._settings.server.max_artifact_mib or None,
                extra_checks=tuple(self._extra_checks),
            ),
            opts=self._after(self.reencryption),
        )
        entry = LedgerEntry(
            f"{name}-ledger",
            LedgerEntryArgs(locator=serving.locator, revision=serving.revision, verified=self.verification.finished),
            opts=self._after(self.verification),
        )
        self.users = self._add_users(serving) if self._settings.access.mode == "basic" else None
        # Last of all: an update that withholds a release does everything else, and then ends red.
        Hold(
            f"{name}-hold",
            withheld=self._withheld,
            accepted=self.pinned.apply(lambda found: found is not None and found.manual and accept),
            opts=self._after(entry, *([self.users] if self.users else [])),
        )

    def _add_users(self, serving: Serving) -> Users:
        """Register users, permissions and roles of the settings, also if there are none: those made before go then."""
        return Users(
            f"{self._name}-users",
            url=serving.url,
            locator=serving.locator,
            credentials=serving.credentials,
            users=desired.users(self._settings),
            permissions=desired.permissions(self._settings),
            roles=desired.roles(self._settings),
            opts=self._after(self.verification),
        )

    def _release(self, serving: Serving) -> pulumi.Output[dict[str, Any]]:
        known = {"mlflowVersion": self._mlflow_version, "schemaHead": serving.schema_head}
        return pulumi.Output.all({"revision": serving.revision, **known}, serving.made_of).apply(
            lambda found: {**found[0], **found[1]}
        )

    def _give_outputs(
        self,
        *,
        artifact_root: pulumi.Input[str],
        dashboard_url: pulumi.Input[str | None] = None,
        login: pulumi.Input[Mapping[str, str]] | None = None,
        sign_in: Mapping[str, str] | None = None,
        preflight: pulumi.Input[Any] | None = None,
    ) -> None:
        """Register the component's outputs.

        `login` are references that a user's shell can read, `sign_in` variables of what signs in for a client.
        """
        verification: dict[str, pulumi.Input[Any]] = {
            "verdict": self.verification.verdict,
            "finished": self.verification.finished,
            "summary": self.verification.summary,
            "table": self.verification.table.apply(str.splitlines),
            "report": self._report,
        }
        if preflight is not None:
            verification["preflight"] = preflight
        self._outputs = BackendOutputs(
            tracking_url=self.tracking_url,
            release=self.release,
            verification=verification,
            artifact_root=artifact_root,
            dashboard_url=pulumi.Output.from_input(dashboard_url),
            client=pulumi.Output.all(self.tracking_url, login).apply(
                lambda found: client_lines(*found, sign_in=sign_in)
            ),
            locator=self.locator,
        )
        self.register_outputs(
            {
                "trackingUrl": self.tracking_url,
                "release": self.release,
                "verification": self.verification.verdict,
                "locator": self.locator,
            }
        )

    def outputs(self) -> BackendOutputs:
        """Return what the stack exports."""
        return self._outputs

    @property
    def candidate_checks(self) -> dict[str, Any]:
        """How a new release is verified before users meet it (verification.execution.run_apart)."""
        verify = self._settings.verify
        return {"profile": verify.profile, "deadline": verify.deadline, "extraChecks": self._extra_checks}

    @property
    def _extra_checks(self) -> list[dict[str, Any]]:
        return [each.model_dump(mode="json") for each in self._settings.verify.extra_checks]

    def _after(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needed))


def digest(identities: Any) -> str:
    """Return a digest over the identity of everything that serving depends on: one permission less is another."""
    return hashlib.sha256(json.dumps(identities, sort_keys=True).encode()).hexdigest()
