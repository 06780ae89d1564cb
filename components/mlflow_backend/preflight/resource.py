"""The work of the dynamic resource Preflight: inputs to findings and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import findings
from mlflow_backend.contract import Refused
from mlflow_backend.dynamic import input_names, is_unknown
from mlflow_backend.findings import Finding, failed
from mlflow_backend.image_reference import Reference, parse
from mlflow_backend.preflight import account, database, image, soak
from mlflow_backend.preflight.arguments import PreflightArgs
from mlflow_backend.preflight.manifests import Platform, Source
from mlflow_backend.preflight.registry import Login, Registry
from mlflow_backend.verify.credentials import read_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS: Final = tuple(input_names(PreflightArgs).values())
GIVEN: Final = frozenset({"secrets", "certificate", "hostedZone", "database"})
"""Inputs that another component may give: the others are looked at without them."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The inputs with what was found among them, and what stops the update, by property."""

    inputs: dict[str, Any]
    problems: tuple[tuple[str, str], ...]


def check(news: Mapping[str, Any]) -> Checked:
    """Look at everything that the inputs name. What is not known yet is not looked at, and said to be so."""
    unknown = [key for key in INPUTS if is_unknown(news.get(key))]
    message = f"not known yet: {', '.join(unknown)}."
    skipped = [findings.skipped("preflight", "server.image", message)] if unknown else []
    if set(unknown) - GIVEN:
        return Checked(inputs={**news, "findings": findings.documents(skipped)}, problems=())
    inspection = inspect({**news, **dict.fromkeys(unknown)})
    found = (*inspection.findings, *skipped)
    inputs = {
        **news,
        "pinnedImage": inspection.pinned,
        "imageHeads": dict(inspection.heads),
        "findings": findings.documents(found),
    }
    problems = tuple(
        (each.prop, f"{each.check}: {each.message} {each.fix}".strip()) for each in findings.failures(found)
    )
    return Checked(inputs=inputs, problems=problems)


def inspect(news: Mapping[str, Any]) -> image.Inspection:
    """Look at everything that known inputs name; the image is what was found of it, the findings are all of them."""
    inspection = _image(news)
    return replace(
        inspection,
        findings=(*inspection.findings, *_account(news), *_database(news, inspection), *_soaked(news, inspection)),
    )


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the inputs that differ; a finding alone is no change of anything that runs."""
    keys = (*INPUTS, "pinnedImage", "imageHeads")
    return [key for key in keys if is_unknown(news.get(key)) or olds.get(key) != news.get(key)]


def _image(news: Mapping[str, Any]) -> image.Inspection:
    try:
        reference = parse(news["image"])
        found = source(reference, news.get("registryLogin"), news)
    except Refused as error:
        finding = failed("image exists", image.PROPERTY, f"{error.finding}.", "Correct the setting.")
        return image.Inspection(findings=(finding,))
    system, _, architecture = str(news["platform"]).partition("/")
    wanted = image.ImageRequirements(
        platform=Platform(system=system, architecture=architecture),
        mlflow_version=news["mlflowVersion"],
        drivers=frozenset(news["drivers"]),
    )
    return image.check(found, reference, wanted)


def source(reference: Reference, login: str | None, news: Mapping[str, Any] | None = None) -> Source:
    """Return where an image's manifests are read. `login` is as in `PreflightArgs`. Raises Refused."""
    if reference.ecr is not None:
        from mlflow_backend.aws.connection import Connection  # noqa: PLC0415 - AWS only if it is asked
        from mlflow_backend.preflight.ecr import EcrSource  # noqa: PLC0415

        owner, region = reference.ecr
        client = Connection.at({**(news or {}), "region": region}).client("ecr")
        return EcrSource(client, account=owner, repository=reference.repository)
    return Registry(reference.registry, reference.repository, _login(login, news or {}) if login else None)


def _login(reference: str, news: Mapping[str, Any]) -> Login:
    if reference.startswith("secretsmanager:"):
        # As ECS itself takes it: one secret, two keys.
        from mlflow_backend.aws.connection import Connection  # noqa: PLC0415 - AWS only if it is asked
        from mlflow_backend.aws.secret_values import read  # noqa: PLC0415

        readers = {"secretsmanager": partial(read, Connection.at({"region": "", **news}))}
        user, password = (
            read_reference("registryLogin", f"{reference}#{key}", readers) for key in ("username", "password")
        )
        return Login(user=user, password=password)
    user, colon, password = read_reference("registryLogin", reference).partition(":")
    if not colon:
        raise Refused("the registry login is not USER:PASSWORD", code="registry-login-malformed")
    return Login(user=user, password=password)


def _account(news: Mapping[str, Any]) -> tuple[Finding, ...]:
    if news.get("account") is None:
        return ()
    from mlflow_backend.aws.asking import Account  # noqa: PLC0415 - AWS only if it is asked
    from mlflow_backend.aws.connection import Connection  # noqa: PLC0415

    expected = account.Expected(
        account=news["account"],
        region=news["region"],
        secrets=news.get("secrets") or {},
        reader=news["reader"],
        certificate=news.get("certificate"),
        host=news.get("host"),
        hosted_zone=news.get("hostedZone"),
        zones=int(news.get("zones") or 0),
        boundary=news.get("boundary"),
    )
    return account.check(Account(Connection.at(news)), expected)


def _database(news: Mapping[str, Any], inspection: image.Inspection) -> tuple[Finding, ...]:
    host = news.get("database")
    if not host:
        return ()
    from mlflow_backend.aws.connection import Connection  # noqa: PLC0415

    return (database.check(Connection.at(news).client("rds"), host, inspection.clients),)


def _soaked(news: Mapping[str, Any], inspection: image.Inspection) -> tuple[Finding, ...]:
    wanted = news.get("soak")
    if not wanted or inspection.pinned is None:
        return ()
    from mlflow_backend.aws.connection import Connection  # noqa: PLC0415 - AWS only if it is asked
    from mlflow_backend.aws.store import S3Store  # noqa: PLC0415
    from mlflow_backend.releases.ledger import Ledger  # noqa: PLC0415

    store = S3Store(
        Connection.at({**news, "region": wanted["region"]}).client("s3"), bucket=wanted["bucket"], root=wanted["root"]
    )
    digest = inspection.pinned.rpartition("@")[2]
    found = soak.check(Ledger(store, by=""), digest=digest, source=wanted["stack"], hours=int(wanted["hours"]))
    return (found,)
