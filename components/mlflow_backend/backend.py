"""A backend as a component, for every target: what ends each of its updates, and what it gives to its user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.contract import BackendOutputs, client_lines
from mlflow_backend.migrate.provider import Reencryption, warn_of_lost
from mlflow_backend.releases.provider import Hold, LedgerEntry, LedgerEntryArgs
from mlflow_backend.verification.arguments import VerificationArgs
from mlflow_backend.verification.provider import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.locator import Locator
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What an update serves, as the resources that end it need it.

    `digest` is over the identity of everything that serving depends on. `keys` is the version of the encryption keys
    that the servers have, empty for a pinned revision: what that one reads is left as it is. `withheld` says why the
    release of the settings is not served, and is empty if it is; `pinned` is whether a person pinned the other one.
    """

    url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]
    revision: pulumi.Input[str]
    locator: pulumi.Input[Locator]
    mlflow_version: pulumi.Input[str]
    credentials: pulumi.Input[Mapping[str, str]]
    access: pulumi.Input[bool]
    digest: pulumi.Input[str]
    keys: pulumi.Input[str]
    withheld: pulumi.Input[str]
    pinned: pulumi.Input[bool]
    report: str


class Backend(pulumi.ComponentResource):
    """An MLflow backend.

    A target's class makes what serves, calls `_end_update`, then `_give_outputs`.
    """

    tracking_url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]
    locator: pulumi.Output[str]
    """The address by which every command finds the backend."""
    reencryption: Reencryption
    verification: Verification

    def __init__(self, token: str, name: str, *, settings: Settings, opts: pulumi.ResourceOptions | None) -> None:
        """Take the type token, and settings that the target's class has found to be fulfilled."""
        super().__init__(token, name, None, opts)
        self._name, self._settings = name, settings

    def _end_update(self, serving: Serving, *, after: Sequence[pulumi.Resource]) -> None:
        """Register what ends an update, in order: re-encryption, verification, the ledger's entry, and the pin.

        `after` is what they run in, and after which no server is left that has other keys, or would write with them.
        """
        name, verify = self._name, self._settings.verify
        self.tracking_url, self.release, self._report = serving.url, serving.release, serving.report
        self.locator = pulumi.Output.from_input(serving.locator).apply(lambda found: found.address)
        self.reencryption = Reencryption(
            f"{name}-reencryption",
            locator=serving.locator,
            mlflow_version=serving.mlflow_version,
            keys=serving.keys,
            opts=self._after(*after),
        )
        warn_of_lost(self.reencryption, self)
        self.verification = Verification(
            f"{name}-verification",
            VerificationArgs(
                url=serving.url,
                release=serving.release,
                serving_digest=serving.digest,
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
        accept = self._settings.release.accept_pin
        # Last of all: an update that withholds a release does everything else, and then ends red.
        Hold(
            f"{name}-hold",
            withheld=serving.withheld,
            accepted=pulumi.Output.from_input(serving.pinned).apply(lambda pinned: pinned and accept),
            opts=self._after(entry),
        )

    def _give_outputs(
        self,
        *,
        artifact_root: pulumi.Input[str],
        dashboard_url: pulumi.Input[str | None] = None,
        login: pulumi.Input[Mapping[str, str]] | None = None,
        preflight: pulumi.Input[Any] | None = None,
    ) -> None:
        """Register the component's outputs; `login` are references that a user's shell can read."""
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
            client=pulumi.Output.all(self.tracking_url, login).apply(lambda found: client_lines(*found)),
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
    def _extra_checks(self) -> list[dict[str, Any]]:
        return [each.model_dump(mode="json") for each in self._settings.verify.extra_checks]

    def _after(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needed))
