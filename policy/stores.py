"""Rules on what data lies in: private, encrypted, spoken to over TLS, backed up, protected. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.report.stateful import PROTECTED
from policy import documents
from policy.model import Gathered, NotKnown, Violation, known, of_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from policy.model import Resource

DATABASE: Final = "aws:rds/instance:Instance"
PARAMETERS: Final = "aws:rds/parameterGroup:ParameterGroup"
CACHE: Final = "aws:elasticache/replicationGroup:ReplicationGroup"
BUCKET: Final = "aws:s3/bucket:Bucket"
BUCKET_ACL: Final = "aws:s3/bucketAcl:BucketAcl"
BUCKET_CLOSED: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_VERSIONS: Final = "aws:s3/bucketVersioning:BucketVersioning"
BUCKET_LOGGING: Final = "aws:s3/bucketLogging:BucketLogging"
BALANCER: Final = "aws:lb/loadBalancer:LoadBalancer"
TOPIC: Final = "aws:sns/topic:Topic"

_CLOSED: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_PUBLIC_LISTS: Final = frozenset({"public-read", "public-read-write", "authenticated-read"})
# S3's groups of whoever asks, and of whoever has any AWS account (Amazon S3 user guide, 'ACL overview').
_EVERYBODY: Final = ("groups/global/AllUsers", "groups/global/AuthenticatedUsers")
_FORCE_TLS: Final = "rds.force_ssl"


def database_private(database: Resource) -> Iterator[str]:
    """A database has no public address."""
    if database.get("publiclyAccessible", default=False):
        yield "it is publicly accessible"


def bucket_private(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Every bucket is closed to the public, by the four switches, its lists and its policy."""
    gathered = Gathered()
    yield from _each_bucket_has(resources, BUCKET_CLOSED, "nothing closes it to the public")
    yield from gathered.over(of_type(resources, BUCKET_CLOSED), _closed)
    yield from gathered.over(of_type(resources, BUCKET, BUCKET_ACL), _public_list)
    yield from gathered.over(of_type(resources, BUCKET_POLICY), lambda each: documents.public(each.document("policy")))
    gathered.close()


def encrypted_at_rest(resources: Sequence[Resource]) -> Iterator[Violation]:
    """What lies on disks is encrypted: databases, caches, buckets, topics."""
    gathered = Gathered()
    yield from gathered.over(of_type(resources, DATABASE), _must("storageEncrypted", "its storage is not encrypted"))
    yield from gathered.over(
        of_type(resources, CACHE), _must("atRestEncryptionEnabled", "its disks and snapshots are not encrypted")
    )
    yield from _each_bucket_has(resources, BUCKET_ENCRYPTION, "nothing says how its objects are encrypted")
    for topic in of_type(resources, TOPIC):
        if topic.inputs.get("kmsMasterKeyId") is None:
            yield Violation(urn=topic.urn, said="its messages are not encrypted")
    gathered.close()


def encrypted_in_transit(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Databases, caches and buckets answer over TLS only."""
    gathered = Gathered()
    forcing = _force_tls(of_type(resources, PARAMETERS), gathered)
    for database in of_type(resources, DATABASE):
        if not database.needed("parameterGroupName") & forcing:
            yield Violation(urn=database.urn, said=f"no parameter group of it sets {_FORCE_TLS} to 1")
    yield from gathered.over(
        of_type(resources, CACHE), _must("transitEncryptionEnabled", "it is spoken to without TLS")
    )
    yield from _each_bucket_has(resources, BUCKET_POLICY, "no policy of it denies plain HTTP")
    yield from gathered.over(of_type(resources, BUCKET_POLICY), _tls_only)
    gathered.close()


def backups_kept(resources: Sequence[Resource]) -> Iterator[Violation]:
    """A database has automatic backups, and a bucket keeps what is overwritten or deleted; one for logs need not."""
    gathered = Gathered()
    yield from gathered.over(of_type(resources, DATABASE), _retention)
    logs = _for_logs(resources)
    kept = [each for each in of_type(resources, BUCKET) if each.urn not in logs]
    yield from _each_has(kept, of_type(resources, BUCKET_VERSIONS), "it keeps no older versions of its objects")
    yield from gathered.over(of_type(resources, BUCKET_VERSIONS), _versions)
    gathered.close()


def deletion_protected(database: Resource) -> Iterator[str]:
    """A database refuses to be deleted, and leaves a last snapshot when it is."""
    if database.get("deletionProtection") is not True:
        yield "it may be deleted by one call"
    if database.get("skipFinalSnapshot") is True:
        yield "it leaves no snapshot when it is deleted"


def stateful_protected(resources: Sequence[Resource]) -> Iterator[Violation]:
    """What cannot be made again is protected in Pulumi, so that no update can replace it; a bucket of logs need not."""
    logs = _for_logs(resources)
    for each in of_type(resources, *PROTECTED):
        if not each.protect and each.urn not in logs:
            yield Violation(urn=each.urn, said=f"it is not protected, and holds {PROTECTED[each.type]}")


def _must(key: str, said: str) -> Callable[[Resource], Iterable[str]]:
    return lambda each: () if each.get(key) is True else (said,)


def _each_bucket_has(resources: Sequence[Resource], type_token: str, said: str) -> Iterator[Violation]:
    yield from _each_has(of_type(resources, BUCKET), of_type(resources, type_token), said)


def _each_has(buckets: Sequence[Resource], attached: Sequence[Resource], said: str) -> Iterator[Violation]:
    covered = frozenset().union(*(each.needed("bucket") for each in attached))
    names = {each.inputs.get("bucket") for each in attached}
    for bucket in buckets:
        if bucket.urn not in covered and bucket.inputs.get("bucket") not in names - {None}:
            yield Violation(urn=bucket.urn, said=said)


def _closed(block: Resource) -> Iterator[str]:
    for switch in _CLOSED:
        if block.get(switch) is not True:
            yield f"{switch} is not on"


def _public_list(bucket: Resource) -> Iterator[str]:
    acl, *granted = (bucket.given(key) for key in ("acl", "grants", "accessControlPolicy"))
    if not known([acl, granted]):
        raise NotKnown("acl")
    if acl in _PUBLIC_LISTS or any(group in str(granted) for group in _EVERYBODY):
        yield "its access control list lets everybody in"


def _tls_only(policy: Resource) -> Iterator[str]:
    if not documents.refuses_plain_http(policy.document("policy")):
        yield "it does not deny plain HTTP"


def _retention(database: Resource) -> Iterator[str]:
    if not int(database.get("backupRetentionPeriod", default=0)):
        yield "it has no automatic backups"


def _versions(versioning: Resource) -> Iterator[str]:
    if versioning.get("versioningConfiguration", default={}).get("status") != "Enabled":
        yield "it keeps no older versions of its objects"


def _force_tls(groups: Sequence[Resource], gathered: Gathered) -> frozenset[str]:
    """Return the groups that force TLS; one that is not known yet counts as forcing, and is remembered as unknown."""
    loose = {each.urn for each in gathered.over(groups, _does_not_force)}
    return frozenset(each.urn for each in groups) - loose


def _does_not_force(group: Resource) -> Iterator[str]:
    values = {each.get("name"): str(each.get("value")) for each in group.get("parameters", default=())}
    if values.get(_FORCE_TLS) != "1":
        yield "it does not force TLS"


def _for_logs(resources: Sequence[Resource]) -> frozenset[str]:
    """Return the buckets that balancers and buckets log to."""
    logging = [each.needed("accessLogs") for each in of_type(resources, BALANCER)]
    return frozenset().union(*logging, *(each.needed("targetBucket") for each in of_type(resources, BUCKET_LOGGING)))
