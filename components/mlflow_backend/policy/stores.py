"""Rules on stores of data: private, encrypted, spoken to over TLS, backed up, protected. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.policy import iam
from mlflow_backend.policy.model import Gathered, NotKnown, Violation, known, of_type, policy, stack_policy
from mlflow_backend.report.stateful import PROTECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mlflow_backend.policy.model import Resource

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


@policy(
    "database-private",
    about={DATABASE},
    why="Whoever guesses a password from anywhere would read and change every run and model.",
    remediation="Set publiclyAccessible to false and reach it from inside the network.",
)
def database_private(database: Resource) -> Iterator[str]:
    """A database has no public address."""
    if database.get("publiclyAccessible", default=False):
        yield "it is publicly accessible"


@stack_policy(
    "bucket-private",
    about={BUCKET, BUCKET_ACL, BUCKET_POLICY},
    why="Artifacts are models and data, and dumps hold password hashes.",
    remediation="Give the bucket a BucketPublicAccessBlock with all four switches, and name principals in its policy.",
)
def bucket_private(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Every bucket is closed to the public: four switches on, no public list, no public policy."""
    gathered = Gathered()
    yield from _each_bucket_has(resources, BUCKET_CLOSED, "nothing closes it to the public")
    yield from gathered.over(of_type(resources, BUCKET_CLOSED), _closed)
    yield from gathered.over(of_type(resources, BUCKET, BUCKET_ACL), _public_list)
    yield from gathered.over(of_type(resources, BUCKET_POLICY), lambda each: iam.public(each.document("policy")))
    gathered.close()


@stack_policy(
    "encrypted-at-rest",
    about={DATABASE, CACHE, BUCKET, TOPIC},
    why="A snapshot or disk that leaves the account must be of no use without the key.",
    remediation="Set storageEncrypted, atRestEncryptionEnabled, a bucket's server-side encryption, a topic's KMS key.",
)
def encrypted_at_rest(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Databases, caches, buckets and topics are encrypted at rest."""
    gathered = Gathered()
    yield from gathered.over(of_type(resources, DATABASE), _must("storageEncrypted", "its storage is not encrypted"))
    yield from gathered.over(
        of_type(resources, CACHE), _must("atRestEncryptionEnabled", "its disks and snapshots are not encrypted")
    )
    yield from _each_bucket_has(resources, BUCKET_ENCRYPTION, "nothing says how its objects are encrypted")
    for topic in of_type(resources, TOPIC):
        if topic.inputs.get("kmsMasterKeyId") is None:
            yield Violation(urn=topic.urn, message="its messages are not encrypted")
    gathered.close()


@stack_policy(
    "encrypted-in-transit",
    about={DATABASE, CACHE, BUCKET},
    why="Passwords and artifacts cross the network, and one client without TLS is enough to lose them.",
    remediation="Set rds.force_ssl to 1, transitEncryptionEnabled, and a bucket policy that denies plain HTTP.",
)
def encrypted_in_transit(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Databases, caches and buckets answer over TLS only."""
    gathered = Gathered()
    forcing = _force_tls(of_type(resources, PARAMETERS), gathered)
    for database in of_type(resources, DATABASE):
        if not database.needed("parameterGroupName") & forcing:
            yield Violation(urn=database.urn, message=f"no parameter group of it sets {_FORCE_TLS} to 1")
    yield from gathered.over(
        of_type(resources, CACHE), _must("transitEncryptionEnabled", "it is spoken to without TLS")
    )
    yield from _each_bucket_has(resources, BUCKET_POLICY, "no policy of it denies plain HTTP")
    yield from gathered.over(of_type(resources, BUCKET_POLICY), _tls_only)
    gathered.close()


@stack_policy(
    "backups-kept",
    about={DATABASE, BUCKET},
    why="A rollback over a migration, and a mistaken deletion, need something to go back to.",
    remediation="Set backup.retentionDays to 1 or more, and versioning on the bucket.",
)
def backups_kept(resources: Sequence[Resource]) -> Iterator[Violation]:
    """A database has automatic backups, and a bucket keeps what is overwritten or deleted."""
    gathered = Gathered()
    yield from gathered.over(of_type(resources, DATABASE), _retention)
    logs = _for_logs(resources)
    kept = [each for each in of_type(resources, BUCKET) if each.urn not in logs]
    yield from _each_has(kept, of_type(resources, BUCKET_VERSIONS), "it keeps no older versions of its objects")
    yield from gathered.over(of_type(resources, BUCKET_VERSIONS), _versions)
    gathered.close()


@policy(
    "deletion-protected",
    about={DATABASE},
    why="A wrong stack name in a terminal is all that it takes.",
    remediation="Set backup.protect, or leave it out. A stack that is made to be destroyed disables this policy.",
)
def deletion_protected(database: Resource) -> Iterator[str]:
    """A database refuses to be deleted, and leaves a last snapshot when it is."""
    if database.get("deletionProtection") is not True:
        yield "it may be deleted by one call"
    if database.get("skipFinalSnapshot") is True:
        yield "it leaves no snapshot when it is deleted"


@stack_policy(
    "stateful-protected",
    about=PROTECTED,
    why="A changed property that forces a replacement would otherwise delete them in the middle of an update.",
    remediation="Set backup.protect, or leave it out. A stack that is made to be destroyed disables this policy.",
)
def stateful_protected(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Databases, data buckets and keys are protected in Pulumi."""
    logs = _for_logs(resources)
    for each in of_type(resources, *PROTECTED):
        if not each.protect and each.urn not in logs:
            yield Violation(urn=each.urn, message=f"it is not protected, and holds {PROTECTED[each.type]}")


def _must(key: str, message: str) -> Callable[[Resource], Iterable[str]]:
    return lambda each: () if each.get(key) is True else (message,)


def _each_bucket_has(resources: Sequence[Resource], type_token: str, message: str) -> Iterator[Violation]:
    yield from _each_has(of_type(resources, BUCKET), of_type(resources, type_token), message)


def _each_has(buckets: Sequence[Resource], attached: Sequence[Resource], message: str) -> Iterator[Violation]:
    covered = frozenset().union(*(each.needed("bucket") for each in attached))
    names = {each.inputs.get("bucket") for each in attached}
    for bucket in buckets:
        if bucket.urn not in covered and bucket.inputs.get("bucket") not in names - {None}:
            yield Violation(urn=bucket.urn, message=message)


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
    if not iam.refuses_plain_http(policy.document("policy")):
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
