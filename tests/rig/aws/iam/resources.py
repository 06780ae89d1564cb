"""What a request to moto is about, as IAM sees it: resource, condition keys, and what else the caller must be allowed.

moto itself asks for '*' outside S3 and IAM, which denies every policy that names an ARN, and so rewards bad ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends

from tests.rig.aws.iam import clusters
from tests.rig.aws.iam.requests import tags_of, values_of
from tests.rig.aws.iam.subjects import SERVICES, AccessRequest, Call, arn, through
from tests.rig.aws.server import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What reading and writing a secret do with the key that encrypts it.
_SECRETS = {
    "secretsmanager:GetSecretValue": "kms:Decrypt",
    "secretsmanager:PutSecretValue": "kms:GenerateDataKey",
}
# Where moto calls a permission by its operation's name.
_ACTIONS = {"s3:HeadBucket": "s3:ListBucket"}
_KEYS = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


def of_request(
    *, action: str, given: str, region: str, path: str, body: bytes, form: Mapping[str, Any]
) -> Sequence[AccessRequest]:
    """Return everything that a request asks for; `given` is the resource as moto says it, `form` a form's values."""
    action = _ACTIONS.get(action, action)
    service = action.partition(":")[0]
    if service == "s3":
        return _of_bucket(action, given, region, parse_qs(urlsplit(path).query), body)
    values = values_of(body) or {key: each[0] if isinstance(each, list) else each for key, each in form.items()}
    if service == "secretsmanager":
        return _of_secret(action, given, region, values)
    asked_of = clusters.subjects if service == "eks" else SERVICES.get(service)
    if asked_of is None:
        return (AccessRequest(action=action, resource=given, context={}),)
    return tuple(asked_of(Call(action=action, region=region, path=path, values=values)))


def _of_bucket(
    action: str, given: str, region: str, query: Mapping[str, Sequence[str]], body: bytes
) -> Sequence[AccessRequest]:
    bucket, slash, _ = given.removeprefix("arn:aws:s3:::").partition("/")
    if action == "s3:DeleteObject" and not slash:
        text = body.decode()
        keys = [unquote(each) for each in _KEYS.findall(text)]
        action = "s3:DeleteObjectVersion" if "<VersionId>" in text else action
        return [AccessRequest(action=action, resource=f"{given}/{key}", context={}) for key in keys]
    context = {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}
    asked = [AccessRequest(action=action, resource=given, context=context)]
    verb = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}.get(action)
    key = _bucket_key(bucket)
    if verb and key:
        asked.append(through("s3", verb, key, region))
    return asked


def _bucket_key(bucket: str) -> str | None:
    held = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    rule = (held.encryption or {}).get("Rule") if held else None
    rules = rule if isinstance(rule, list) else [rule] if rule else []
    for each in rules:
        default = each.get("ApplyServerSideEncryptionByDefault", {})
        if default.get("KMSMasterKeyID"):
            return str(default["KMSMasterKeyID"])
    return None


def _of_secret(action: str, given: str, region: str, document: Mapping[str, Any]) -> Sequence[AccessRequest]:
    name = document.get("SecretId")
    if name is None:
        return list(_of_new_secret(action, given, region, document))
    secrets = [
        each for each in secretsmanager_backends[ACCOUNT][region].secrets.values() if isinstance(each, FakeSecret)
    ]
    held = next((each for each in secrets if name in {each.arn, each.name}), None)
    named = name if name.startswith("arn:") else arn("secretsmanager", region, f"secret:{name}-AbCdEf")
    asked = [AccessRequest(action=action, resource=held.arn if held else named, context={})]
    verb = _SECRETS.get(action)
    if verb is not None and held is not None and _is_ours(held.kms_key_id, region):
        asked.append(through("secretsmanager", verb, str(held.kms_key_id), region))
    return asked


def _of_new_secret(action: str, given: str, region: str, document: Mapping[str, Any]) -> Iterator[AccessRequest]:
    if "Name" not in document:
        yield AccessRequest(action=action, resource=given, context={})
        return
    new = arn("secretsmanager", region, f"secret:{document['Name']}-AbCdEf")
    tags = {f"aws:RequestTag/{key}": value for key, value in tags_of(document).items()}
    yield AccessRequest(action=action, resource=new, context=tags)
    if tags:
        yield AccessRequest(action="secretsmanager:TagResource", resource=new, context=tags)
    if _is_ours(document.get("KmsKeyId"), region):
        for verb in ("kms:Decrypt", "kms:GenerateDataKey"):
            yield through("secretsmanager", verb, str(document["KmsKeyId"]), region)


def _is_ours(key: str | None, region: str) -> bool:
    """Return whether a key is the account's own: AWS's keys let in whoever the service lets in."""
    if not key or key.startswith("alias/aws/"):
        return False
    held = kms_backends[ACCOUNT][region].keys.get(key.rpartition("/")[2])
    return held is None or held.key_manager != "AWS"
