"""Checks of the AWS account: the expected one, with readable secrets and an issued certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.preflight.findings import Finding, failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_acm import ACMClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient

_DENIED: Final = frozenset({
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnrecognizedClientException",
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Clients:
    """What is asked."""

    sts: STSClient
    secrets: SecretsManagerClient
    certificates: ACMClient
    iam: IAMClient


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the settings say of the account.

    `secrets` are ARNs by the setting that names them; `reader` is the role that will read them, which need not be
    there yet. `host` is the name that `certificate` must be good for.
    """

    account: str
    region: str
    secrets: Mapping[str, str]
    reader: str
    certificate: str | None = None
    host: str | None = None


def look(clients: Clients, expected: Expected) -> tuple[Finding, ...]:
    """Look at the account. When it is another one than expected, nothing else in it is asked."""
    account = _account(clients, expected)
    found = [account]
    if account.outcome != "fail":
        for setting, arn in sorted(expected.secrets.items()):
            found += _secret(clients, expected, setting, arn)
        if expected.certificate is not None:
            found.append(_certificate(clients, expected, expected.certificate))
    return tuple(found)


def _account(clients: Clients, expected: Expected) -> Finding:
    check, prop = "account", "aws.account"
    answer = _asked(clients.sts.get_caller_identity)
    if isinstance(answer, _Unasked):
        return failed(check, prop, f"AWS does not say who is asking: {answer.why}.", "Log in to the account.")
    if answer["Account"] != expected.account:
        return failed(
            check,
            prop,
            f"the credentials are of account {answer['Account']}, and the stack is for {expected.account}.",
            "Log in to that one, or correct the setting.",
        )
    return passed(check, prop, f"account {expected.account}, region {expected.region}.")


def _secret(clients: Clients, expected: Expected, setting: str, arn: str) -> Iterator[Finding]:
    check = "secret exists"
    if elsewhere := _elsewhere(arn, expected):
        yield failed(check, setting, f"the secret is in {elsewhere}.", f"Name one in {expected.region}.")
        return
    answer = _asked(clients.secrets.describe_secret, SecretId=arn)
    if isinstance(answer, _Unasked):
        if not answer.denied:
            yield failed(check, setting, f"the secret is not there: {answer.why}.", "Make it, or correct the ARN.")
            return
        yield skipped(check, setting, f"the secret could not be looked at: {answer.why}.")
    elif answer.get("DeletedDate"):
        yield failed(check, setting, "the secret is being deleted.", "Restore it, or name another one.")
        return
    else:
        yield passed(check, setting, "the secret is there.")
    yield _readable(clients, expected, setting, arn)


def _readable(clients: Clients, expected: Expected, setting: str, arn: str) -> Finding:
    check = "secret readable"
    answer = _asked(
        clients.iam.simulate_principal_policy,
        PolicySourceArn=expected.reader,
        ActionNames=["secretsmanager:GetSecretValue"],
        ResourceArns=[arn],
    )
    if isinstance(answer, _Unasked):
        absent = answer.code == "NoSuchEntity"
        why = "the role that will read it is not there yet" if absent else answer.why
        return skipped(check, setting, f"whether tasks can read the secret could not be asked: {why}.")
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    if decision != "allowed":
        return failed(check, setting, f"tasks may not read the secret ({decision}).", "Allow it to the execution role.")
    return passed(check, setting, "tasks may read the secret.")


def _certificate(clients: Clients, expected: Expected, arn: str) -> Finding:
    check, prop = "certificate", "aws.network.certificate"
    if elsewhere := _elsewhere(arn, expected):
        return failed(check, prop, f"the certificate is in {elsewhere}.", f"Name one in {expected.region}.")
    answer = _asked(clients.certificates.describe_certificate, CertificateArn=arn)
    if isinstance(answer, _Unasked):
        if answer.denied:
            return skipped(check, prop, f"the certificate could not be looked at: {answer.why}.")
        return failed(check, prop, f"the certificate is not there: {answer.why}.", "Request it, or correct the ARN.")
    details = answer["Certificate"]
    if details.get("Status") != "ISSUED":
        return failed(
            check, prop, f"the certificate is {details.get('Status', 'unknown')}.", "Finish its validation in ACM."
        )
    names = [details.get("DomainName", ""), *details.get("SubjectAlternativeNames", [])]
    if expected.host is not None and not any(_covers(name, expected.host) for name in names):
        return failed(
            check,
            prop,
            f"the certificate is for {', '.join(dict.fromkeys(names))}, and users call {expected.host}.",
            "Request one for that name, or correct network.publicUrl.",
        )
    return passed(check, prop, "the certificate is issued.")


def _covers(name: str, host: str) -> bool:
    """Tell whether a certificate's name stands for a host: a wildcard is for exactly one label (RFC 6125, 6.4.3)."""
    if name.startswith("*."):
        return host.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == host.lower()


def _elsewhere(arn: str, expected: Expected) -> str | None:
    region = arn.split(":")[3]
    return region if region != expected.region else None


@dataclass(frozen=True, kw_only=True)
class _Unasked:
    """A question without an answer. `why` is AWS's code, which holds no secret; its message may hold an ARN."""

    code: str
    denied: bool

    @property
    def why(self) -> str:
        return self.code


def _asked(operation: Callable[..., Any], **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as components.ecs.clients

    try:
        return operation(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        return _Unasked(code=code, denied=code in _DENIED)
    except BotoCoreError as error:
        # No credentials, no network: the question was not answered, which is neither yes nor no.
        return _Unasked(code=type(error).__name__, denied=True)
