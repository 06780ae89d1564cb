"""The policies. Pure; docs/policies.md is generated from it (`python -m policy.page`).

A test holds the page and the names in components/settings/policy.py to it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from components.report.stateful import PROTECTED
from policy import keeping, network, stores
from policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

PACK: Final = "mlflow-backend"

POLICIES: Final = (
    Policy(
        name="database-private",
        what="A database has no public address.",
        why="Whoever guesses a password from anywhere would read and change every run and model.",
        mend="Set publiclyAccessible to false and reach it from inside the network.",
        types=frozenset({stores.DATABASE}),
        judge=stores.database_private,
    ),
    Policy(
        name="cache-private",
        what="Only private addresses and security groups of the backend may reach a cache.",
        why="The cache holds the queue of jobs: who can write to it can make the server run them.",
        mend="Let the cache's security group admit the server's group instead of addresses.",
        types=frozenset({stores.CACHE}),
        judge_stack=network.cache_private,
    ),
    Policy(
        name="bucket-private",
        what="Every bucket is closed to the public: four switches on, no public list, no public policy.",
        why="Artifacts are models and data, and dumps hold password hashes.",
        mend="Give the bucket a BucketPublicAccessBlock with all four switches, and name principals in its policy.",
        types=frozenset({stores.BUCKET, stores.BUCKET_ACL, stores.BUCKET_POLICY}),
        judge_stack=stores.bucket_private,
    ),
    Policy(
        name="encrypted-at-rest",
        what="Databases, caches, buckets and topics are encrypted where they lie.",
        why="A snapshot or disk that leaves the account must be of no use without the key.",
        mend="Set storageEncrypted, atRestEncryptionEnabled, a bucket's server-side encryption, a topic's KMS key.",
        types=frozenset({stores.DATABASE, stores.CACHE, stores.BUCKET, stores.TOPIC}),
        judge_stack=stores.encrypted_at_rest,
    ),
    Policy(
        name="encrypted-in-transit",
        what="Databases, caches and buckets answer over TLS only.",
        why="Passwords and artifacts cross the network, and one client without TLS is enough to lose them.",
        mend="Set rds.force_ssl to 1, transitEncryptionEnabled, and a bucket policy that denies what came without TLS.",
        types=frozenset({stores.DATABASE, stores.CACHE, stores.BUCKET}),
        judge_stack=stores.encrypted_in_transit,
    ),
    Policy(
        name="listener-tls",
        what="A balancer forwards only what came over TLS; plain HTTP may only redirect.",
        why="Users send passwords and API keys with every request.",
        mend="Set aws.network.certificate. A stack behind a VPN without one sets this policy to advisory.",
        types=frozenset({network.LISTENER}),
        judge=network.listener_tls,
    ),
    Policy(
        name="iam-without-wildcards",
        what="Grants name their actions and resources; nothing attaches a policy that allows all of a service.",
        why="Whoever takes over the server has what its role has.",
        mend="Name the actions and ARNs. What knows no resource is listed in policy/documents.py, with its source.",
        types=frozenset({*keeping.DOCUMENTED, keeping.ROLE, keeping.ATTACHMENT}),
        judge=keeping.iam_without_wildcards,
    ),
    Policy(
        name="deletion-protected",
        what="A database refuses to be deleted, and leaves a last snapshot when it is.",
        why="A wrong stack name in a terminal is all that it takes.",
        mend="Set backup.protect, or leave it out. A stack that is made to be destroyed disables this policy.",
        types=frozenset({stores.DATABASE}),
        judge=stores.deletion_protected,
    ),
    Policy(
        name="backups-kept",
        what="A database has automatic backups, and a bucket keeps what is overwritten or deleted.",
        why="A rollback over a migration, and a mistaken deletion, need something to go back to.",
        mend="Set backup.retentionDays to 1 or more, and versioning on the bucket.",
        types=frozenset({stores.DATABASE, stores.BUCKET}),
        judge_stack=stores.backups_kept,
    ),
    Policy(
        name="images-by-digest",
        what="Every container names its image by digest.",
        why="A tag can mean another image tomorrow: then a restarted task runs what nobody verified.",
        mend="Let preflight resolve the tag, and use its pinnedImage.",
        types=frozenset({keeping.TASK}),
        judge=keeping.images_by_digest,
    ),
    Policy(
        name="image-architecture",
        what="Preflight has seen that the image runs on the architecture of each task.",
        why="An arm64 image on amd64 tasks dies with 'exec format error', after the update has begun.",
        mend="Build the image for the tasks' platform, or set aws.architecture to the image's.",
        types=frozenset({keeping.TASK}),
        judge_stack=keeping.image_architecture,
    ),
    Policy(
        name="no-plain-secrets",
        what="A task's environment and command hold no secret.",
        why="Everybody who may describe a task reads them, and they stay in its history for ever.",
        mend="Put the value into Secrets Manager and name it under `secrets`.",
        types=frozenset({keeping.TASK}),
        judge=keeping.no_plain_secrets,
    ),
    Policy(
        name="ingress-closed",
        what="From anywhere, only ports 80 and 443 of a balancer may be called.",
        why="Everything else has no business with strangers.",
        mend="Admit a security group or an address block, or move the port behind the balancer.",
        types=network.ADMITTING,
        judge_stack=network.ingress_closed,
    ),
    Policy(
        name="tagged",
        what="Every resource that can have tags says which project and stack it belongs to.",
        why="Costs, clean-up and incidents start from the question whose it is.",
        mend="Make it with the backend's provider, whose default tags name project, stack and managed-by.",
        types=frozenset(),
        judge=keeping.tagged,
    ),
    Policy(
        name="logs-expire",
        what="A log group has a retention.",
        why="Logs that never expire cost more each month, and hold what users were promised is deleted.",
        mend="Set aws.monitoring.logRetentionDays, or retentionInDays on a group of your own.",
        types=frozenset({keeping.LOG_GROUP}),
        judge=keeping.logs_expire,
    ),
    Policy(
        name="stateful-protected",
        what="Databases, data buckets and keys are protected in Pulumi.",
        why="A changed property that forces a replacement would otherwise delete them in the middle of an update.",
        mend="Set backup.protect, or leave it out. A stack that is made to be destroyed disables this policy.",
        types=frozenset(PROTECTED),
        judge_stack=stores.stateful_protected,
    ),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Policy]] = MappingProxyType({policy.name: policy for policy in POLICIES})
