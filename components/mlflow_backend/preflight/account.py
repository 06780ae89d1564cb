"""Checks of the AWS account: the expected one, its zones, readable secrets, an issued certificate, a hosted zone."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered
from mlflow_backend.aws.zones import ZONES_ASKED, zone_name
from mlflow_backend.contract import Refused
from mlflow_backend.findings import Finding, failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.aws.asking import Account

_VALIDATION_TTL_S: Final = 300


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the settings say of the account.

    `secrets` are ARNs by the setting that names them; `reader` is the role that will read them, which need not be
    there yet. `host` is the name that `certificate` must be good for, and that gets a record in `hosted_zone`. `zones`
    is how many availability zones the network takes, 0 for an adopted network. `boundary` is the ARN of the policy that
    bounds each role, '' for a protected stack that names none, None for any other one without.
    """

    account: str
    region: str
    secrets: Mapping[str, str]
    reader: str
    certificate: str | None = None
    host: str | None = None
    hosted_zone: str | None = None
    zones: int = 0
    boundary: str | None = None


def check(aws: Account, expected: Expected) -> tuple[Finding, ...]:
    """Look at the account. When it is another one than expected, nothing else in it is asked."""
    account = _account(aws, expected)
    found = [account]
    if account.outcome != "fail":
        if expected.zones:
            found.append(_zones(aws, expected))
        for setting, arn in sorted(expected.secrets.items()):
            found += _secret(aws, expected, setting, arn)
        if expected.certificate is not None:
            found.append(_certificate(aws, expected, expected.certificate))
        if expected.hosted_zone is not None:
            found.append(_hosted_zone(aws, expected, expected.hosted_zone))
        if expected.boundary is not None:
            found.append(_boundary(aws, expected.boundary))
    return tuple(found)


def _account(aws: Account, expected: Expected) -> Finding:
    check, prop = "account", "aws.account"
    answer = aws.ask("sts", "get_caller_identity")
    if isinstance(answer, Unanswered):
        return failed(
            check, prop, f"AWS does not say who is asking: {answer.why}.", "Log in to the account.", "aws configure"
        )
    if answer["Account"] != expected.account:
        return failed(
            check,
            prop,
            f"the credentials are of account {answer['Account']}, and the stack is for {expected.account}.",
            "Log in to that one, or correct the setting.",
        )
    return passed(check, prop, f"account {expected.account}, region {expected.region}.")


def _secret(aws: Account, expected: Expected, setting: str, arn: str) -> Iterator[Finding]:
    check = "secret exists"
    if elsewhere := _elsewhere(arn, expected):
        yield failed(check, setting, f"the secret is in {elsewhere}.", f"Name one in {expected.region}.")
        return
    answer = aws.ask("secretsmanager", "describe_secret", SecretId=arn)
    if isinstance(answer, Unanswered):
        if not answer.denied:
            yield failed(check, setting, f"the secret is not there: {answer.why}.", "Make it, or correct the ARN.")
            return
        yield skipped(check, setting, f"the secret could not be looked at: {answer.why}.")
    elif answer.get("DeletedDate"):
        yield failed(check, setting, "the secret is being deleted.", "Restore it, or name another one.")
        return
    else:
        yield passed(check, setting, "the secret is there.")
    yield _readable(aws, expected, setting, arn)


def _readable(aws: Account, expected: Expected, setting: str, arn: str) -> Finding:
    check = "secret readable"
    answer = aws.ask(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=expected.reader,
        ActionNames=["secretsmanager:GetSecretValue"],
        ResourceArns=[arn],
    )
    if isinstance(answer, Unanswered):
        absent = answer.why == "NoSuchEntity"
        why = "the role that will read it is not there yet" if absent else answer.why
        return skipped(check, setting, f"whether tasks can read the secret could not be asked: {why}.")
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    if decision != "allowed":
        return failed(check, setting, f"tasks may not read the secret ({decision}).", "Allow it to the execution role.")
    return passed(check, setting, "tasks may read the secret.")


def _zones(aws: Account, expected: Expected) -> Finding:
    check, prop = "availability zones", "aws.network.zones"
    answer = aws.ask(
        "ec2",
        "describe_availability_zones",
        Filters=[{"Name": name, "Values": list(values)} for name, values in ZONES_ASKED.items()],
    )
    if isinstance(answer, Unanswered):
        return skipped(check, prop, f"the region's zones could not be listed: {answer.why}.")
    names = sorted(each["ZoneName"] for each in answer["AvailabilityZones"] if each["State"] == "available")
    try:
        zone_name(names, expected.zones - 1, zones=expected.zones, region=expected.region)
    except Refused as refusal:
        return failed(check, prop, refusal.finding, refusal.fix)
    return passed(check, prop, f"{expected.region} has {len(names)} zones, and {expected.zones} are used.")


def _certificate(aws: Account, expected: Expected, arn: str) -> Finding:
    check, prop = "certificate", "aws.network.certificate"
    request = f"aws acm request-certificate --domain-name {expected.host} --validation-method DNS"
    command = f"{request} --region {expected.region}" if expected.host else ""
    again = "Request one, and name the ARN that the command prints."
    if elsewhere := _elsewhere(arn, expected):
        return failed(
            check, prop, f"the certificate is in {elsewhere}, the stack in {expected.region}.", again, command
        )
    answer = aws.ask("acm", "describe_certificate", CertificateArn=arn)
    if isinstance(answer, Unanswered):
        if answer.denied:
            return skipped(check, prop, f"the certificate could not be looked at: {answer.why}.")
        return failed(check, prop, f"the certificate is not there: {answer.why}.", again, command)
    details = answer["Certificate"]
    if details.get("Status") != "ISSUED":
        return _unissued(details, expected)
    names = [details.get("DomainName", ""), *details.get("SubjectAlternativeNames", [])]
    if expected.host is not None and not any(_covers(name, expected.host) for name in names):
        said = f"the certificate is for {', '.join(dict.fromkeys(names))}, and users call {expected.host}."
        return failed(check, prop, said, "Request one for that name, or correct network.publicUrl.", command)
    return passed(check, prop, "the certificate is issued.")


def _unissued(details: Mapping[str, Any], expected: Expected) -> Finding:
    """A certificate waits for a record that only the domain's owner can make: it is shown, or written as a command."""
    check, prop, status = "certificate", "aws.network.certificate", str(details.get("Status", "unknown"))
    records = [
        each["ResourceRecord"] for each in details.get("DomainValidationOptions", []) if "ResourceRecord" in each
    ]
    if status != "PENDING_VALIDATION" or not records:
        return failed(check, prop, f"the certificate is {status}.", "Finish its validation in ACM.")
    shown = ", ".join(f"{each['Name']} {each['Type']} {each['Value']}" for each in records)
    fix = f"Make the record {shown}, and wait until ACM has seen it."
    return failed(check, prop, f"the certificate is {status}.", fix, _upsert(records, expected.hosted_zone))


def _upsert(records: Sequence[Mapping[str, Any]], zone: str | None) -> str:
    """Return the command that makes a certificate's records in the stack's own zone; empty if there is none."""
    if zone is None:
        return ""
    changes = [
        {
            "Action": "UPSERT",
            "ResourceRecordSet": {
                "Name": each["Name"],
                "Type": each["Type"],
                "TTL": _VALIDATION_TTL_S,
                "ResourceRecords": [{"Value": each["Value"]}],
            },
        }
        for each in records
    ]
    batch = shlex.quote(json.dumps({"Changes": changes}))
    return f"aws route53 change-resource-record-sets --hosted-zone-id {zone} --change-batch {batch}"


def _hosted_zone(aws: Account, expected: Expected, zone: str) -> Finding:
    check, prop = "hosted zone", "aws.network.hostedZone"
    answer = aws.ask("route53", "get_hosted_zone", Id=zone)
    if isinstance(answer, Unanswered):
        if answer.denied:
            return skipped(check, prop, f"the zone could not be looked at: {answer.why}.")
        domain = str(expected.host).partition(".")[2]
        return failed(
            check,
            prop,
            f"there is no zone {zone}: {answer.why}.",
            f"Make one for {domain}, name its id in the setting, and let the domain's registrar delegate to it.",
            f"aws route53 create-hosted-zone --name {domain} --caller-reference mlflow-backend-{domain}",
        )
    domain = answer["HostedZone"]["Name"].rstrip(".")
    if expected.host is not None and not f".{expected.host}".endswith(f".{domain}"):
        said = f"the zone is for {domain}, and users call {expected.host}."
        return failed(check, prop, said, "Name the zone of that domain, or correct network.publicUrl.")
    return passed(check, prop, f"the zone {domain} gets the record.")


def _boundary(aws: Account, arn: str) -> Finding:
    check, prop = "permissions boundary", "aws.permissionsBoundary"
    if not arn:
        return skipped(
            check,
            prop,
            "none is named, so whoever deploys can give the tasks' roles any permission.",
            "Name a policy of the account, then print the deployer's (docs/runbooks/workflows.md).",
        )
    answer = aws.ask("iam", "get_policy", PolicyArn=arn)
    if not isinstance(answer, Unanswered):
        return passed(check, prop, "the policy is there.")
    if answer.denied:
        return skipped(check, prop, f"the policy could not be looked at: {answer.why}.")
    return failed(check, prop, f"the policy is not there: {answer.why}.", "Make it, or correct the ARN.")


def _covers(name: str, host: str) -> bool:
    """Return whether a certificate's name stands for a host: a wildcard is for exactly one label (RFC 6125, 6.4.3)."""
    if name.startswith("*."):
        return host.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == host.lower()


def _elsewhere(arn: str, expected: Expected) -> str | None:
    region = arn.split(":")[3]
    return region if region != expected.region else None
