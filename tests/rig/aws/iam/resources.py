"""What a request to moto is about, as IAM sees it: resource, condition keys, and what else the caller must be allowed.

moto itself asks for '*' outside S3 and IAM, which denies every policy that names an ARN, and so rewards bad ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends

from tests.rig.aws.server import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEYS = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing that the caller must be allowed. `context` holds condition keys beyond those of every request."""

    action: str
    resource: str
    context: Mapping[str, str]


def of_request(*, action: str, given: str, region: str, path: str, body: bytes) -> Sequence[Asked]:
    """Return everything that a request asks for; `given` is the resource as moto says it."""
    service = action.partition(":")[0]
    if service == "s3":
        return _of_bucket(action, given, region, parse_qs(urlsplit(path).query), body)
    try:
        document: dict[str, Any] = json.loads(body or b"{}")
    except ValueError:
        document = {}
    if service == "secretsmanager":
        return _of_secret(action, given, region, document)
    resource = _named(service, region, document) or given
    return (Asked(action=action, resource=resource, context={}), *_passed_roles(action, document))


def _of_bucket(
    action: str, given: str, region: str, query: Mapping[str, Sequence[str]], body: bytes
) -> Sequence[Asked]:
    bucket, slash, _ = given.removeprefix("arn:aws:s3:::").partition("/")
    if action == "s3:DeleteObject" and not slash:
        keys = [unquote(each) for each in _KEYS.findall(body.decode())]
        return [Asked(action=action, resource=f"{given}/{key}", context={}) for key in keys]
    context = {"s3:prefix": query["prefix"][0]} if "prefix" in query else {}
    asked = [Asked(action=action, resource=given, context=context)]
    verb = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}.get(action)
    key = _bucket_key(bucket)
    if verb and key:
        asked.append(_through("s3", verb, key, region))
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


def _of_secret(action: str, given: str, region: str, document: Mapping[str, Any]) -> Sequence[Asked]:
    name = document.get("SecretId")
    if name is None:
        return [Asked(action=action, resource=given, context={})]
    secrets = [
        each for each in secretsmanager_backends[ACCOUNT][region].secrets.values() if isinstance(each, FakeSecret)
    ]
    held = next((each for each in secrets if name in {each.arn, each.name}), None)
    arn = held.arn if held else name if name.startswith("arn:") else _arn("secretsmanager", region, f"secret:{name}")
    asked = [Asked(action=action, resource=arn, context={})]
    if action == "secretsmanager:GetSecretValue" and held is not None and _is_ours(held.kms_key_id, region):
        asked.append(_through("secretsmanager", "kms:Decrypt", str(held.kms_key_id), region))
    return asked


def _is_ours(key: str | None, region: str) -> bool:
    """Tell whether a key is the account's own: AWS's keys let in whoever the service lets in."""
    if not key or key.startswith("alias/aws/"):
        return False
    held = kms_backends[ACCOUNT][region].keys.get(key.rpartition("/")[2])
    return held is None or held.key_manager != "AWS"


def _through(service: str, action: str, key: str, region: str) -> Asked:
    arn = key if key.startswith("arn:") else _arn("kms", region, f"key/{key}")
    return Asked(action=action, resource=arn, context={"kms:ViaService": f"{service}.{region}.amazonaws.com"})


def _named(service: str, region: str, document: Mapping[str, Any]) -> str | None:
    if service == "logs" and "logGroupName" in document:
        stream = document.get("logStreamName", "")
        return _arn("logs", region, f"log-group:{document['logGroupName']}:log-stream:{stream}")
    if service == "ecr" and "repositoryName" in document:
        return _arn("ecr", region, f"repository/{document['repositoryName']}")
    if service == "kms" and "KeyId" in document:
        key = str(document["KeyId"])
        return key if key.startswith("arn:") else _arn("kms", region, f"key/{key}")
    if service == "ecs":
        name = document.get("service") or next(iter(document.get("services") or []), None)
        cluster = str(document.get("cluster") or "default").rpartition("/")[2]
        if name is not None:
            return str(name) if name.startswith("arn:") else _arn("ecs", region, f"service/{cluster}/{name}")
    return None


def _passed_roles(action: str, document: Mapping[str, Any]) -> Sequence[Asked]:
    if action != "ecs:RegisterTaskDefinition":
        return ()
    roles = [document[key] for key in ("taskRoleArn", "executionRoleArn") if document.get(key)]
    context = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    return [Asked(action="iam:PassRole", resource=role, context=context) for role in roles]


def _arn(service: str, region: str, resource: str) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"
