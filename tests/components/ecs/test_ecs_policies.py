"""IAM documents: what each role may do, and above all what it must not, as IAM itself would decide."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.render import backups, policies, scheduler, storage
from mlflow_backend.aws.render.policies import LEDGER, S3Root
from mlflow_backend.backup.tool import FOLDER
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.ecs.render import policies as ecs_policies
from tests.components.ecs.simulator import Question, ask
from tests.components.ecs.stacks import ACCOUNT, naming_of, secret_arn, settings_of, store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMING = naming_of("staging")
STORE = store_of("staging")
KEY = STORE.key_arn or ""
SECRET = secret_arn(NAMING, "server")
REPOSITORY = NAMING.arn("ecr", "repository/mlflow-backend")
ROLES: dict[str, policies.Document] = {
    "server": policies.server(NAMING, STORE),
    "server-by-keys": policies.server(NAMING, STORE, api_keys=secret_arn(NAMING, "api-keys"), key=KEY),
    "database": policies.database_tasks(NAMING, STORE),
    "verify": policies.verify_task(NAMING, STORE),
    "verify-scheduled": policies.verify_task(NAMING, STORE, scheduled=True),
    "execution": ecs_policies.execution(
        NAMING,
        secrets=[SECRET],
        keys=[KEY],
        log_group=NAMING.log_group_arn("server"),
        repository_arn=REPOSITORY,
    ),
    "backup": backups.task(NAMING, STORE, there=S3Root(bucket="elsewhere", root="team/staging")),
    "maintenance": policies.maintenance_task(NAMING, STORE, tools=FOLDER),
    "scheduler": scheduler.starter(NAMING, ("backup", "verify")),
    "adopted-server": policies.server(naming_of("adopted"), store_of("adopted")),
}
# A key's own policy has to hand the decision to IAM, or no grant counts.
KEY_POLICY = policies.key(NAMING, log_group_arns=[NAMING.log_group_arn("server")])
S3, SECRETS = "s3.eu-west-1.amazonaws.com", "secretsmanager.eu-west-1.amazonaws.com"


def bucket(path: str = "") -> str:
    """Return the ARN of staging's bucket, or of an object in it."""
    return NAMING.bucket_arn(STORE.bucket, path)


def definition(part: str) -> str:
    """Return the ARN of a revision of a task definition."""
    return NAMING.arn("ecs", f"task-definition/{NAMING.family(part)}:1")


ON_CLUSTER = {"ecs:cluster": NAMING.arn("ecs", f"cluster/{NAMING.cluster()}")}
TO_TASKS = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
KEPT = "arn:aws:s3:::elsewhere/team/staging/backups/1/manifest.json"
CREATES = {"s3:ObjectCreationOperation": "true"}
Case = tuple[str, str, str, dict[str, str], bool]
CASES: dict[str, Case] = {
    # What the server does.
    "lists artifacts": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts/1/abc/artifacts/"}, True),
    "lists the root of artifacts": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts/"}, True),
    "lists artifacts without a slash": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts"}, True),
    "reads an artifact": ("server", "s3:GetObject", bucket("/artifacts/1/x"), {}, True),
    "writes an artifact": ("server", "s3:PutObject", bucket("/artifacts/1/x"), {}, True),
    "deletes an artifact": ("server", "s3:DeleteObject", bucket("/artifacts/1/x"), {}, True),
    "gives up an upload": ("server", "s3:AbortMultipartUpload", bucket("/artifacts/1/x"), {}, True),
    "looks at an upload": ("server", "s3:ListMultipartUploadParts", bucket("/artifacts/1/x"), {}, True),
    "encrypts through S3": ("server", "kms:GenerateDataKey", KEY, {"kms:ViaService": S3}, True),
    "decrypts through S3": ("server", "kms:Decrypt", KEY, {"kms:ViaService": S3}, True),
    # S3 normalises no path: this is an object below artifacts with an odd name, not the dump.
    "reads an odd name": ("server", "s3:GetObject", bucket("/artifacts/../_backend/dumps/1"), {}, True),
    # What it must not.
    "lists all": ("server", "s3:ListBucket", bucket(), {"s3:prefix": ""}, False),
    "lists without a prefix": ("server", "s3:ListBucket", bucket(), {}, False),
    "lists a neighbour": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts-of-others/"}, False),
    "lists the backend's own": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "_backend/dumps/"}, False),
    "lists the backend's root": ("server", "s3:ListBucket", bucket(), {"s3:prefix": "_backend"}, False),
    "reads a dump": ("server", "s3:GetObject", bucket("/_backend/dumps/1"), {}, False),
    "writes the ledger": ("server", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "deletes the ledger": ("server", "s3:DeleteObject", bucket("/_backend/ledger/1"), {}, False),
    "reads beside artifacts": ("server", "s3:GetObject", bucket("/artifacts.txt"), {}, False),
    "reads another bucket": ("server", "s3:GetObject", "arn:aws:s3:::another/artifacts/x", {}, False),
    "erases old versions": ("server", "s3:DeleteObjectVersion", bucket("/artifacts/1/x"), {}, False),
    "opens the bucket": ("server", "s3:PutBucketPolicy", bucket(), {}, False),
    "ends versioning": ("server", "s3:PutBucketVersioning", bucket(), {}, False),
    "decrypts by itself": ("server", "kms:Decrypt", KEY, {}, False),
    "decrypts secrets": ("server", "kms:Decrypt", KEY, {"kms:ViaService": SECRETS}, False),
    "reads secrets": ("server", "secretsmanager:GetSecretValue", SECRET, {}, False),
    "deploys itself": ("server", "ecs:UpdateService", NAMING.arn("ecs", "service/c/s"), {}, False),
    "passes a role": ("server", "iam:PassRole", NAMING.role_arn("server"), {}, False),
    # Where access is by API keys, it reads their hashes, and still nothing of its own secret.
    "reads key hashes": (
        "server-by-keys", "secretsmanager:GetSecretValue", secret_arn(NAMING, "api-keys"), {}, True,
    ),
    "decrypts key hashes": ("server-by-keys", "kms:Decrypt", KEY, {"kms:ViaService": SECRETS}, True),
    "reads the verification's key": ("server-by-keys", "secretsmanager:GetSecretValue", SECRET, {}, False),
    "writes key hashes": (
        "server-by-keys", "secretsmanager:PutSecretValue", secret_arn(NAMING, "api-keys"), {}, False,
    ),
    # The one-shot database task: the other way round.
    "dumps": ("database", "s3:PutObject", bucket("/_backend/dumps/1"), {}, True),
    "restores": ("database", "s3:GetObject", bucket("/_backend/dumps/1"), {}, True),
    "lists dumps": ("database", "s3:ListBucket", bucket(), {"s3:prefix": "_backend/dumps/"}, True),
    "task reads what is restored": ("database", "s3:GetObject", bucket("/_backend/staging/1/x.dump"), {}, True),
    "task writes what is restored": ("database", "s3:PutObject", bucket("/_backend/staging/1/x.dump"), {}, False),
    "task reads an artifact": ("database", "s3:GetObject", bucket("/artifacts/1/x"), {}, False),
    "task lists artifacts": ("database", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts/"}, False),
    "task writes the ledger": ("database", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "task deletes the ledger": ("database", "s3:DeleteObject", bucket("/_backend/ledger/1"), {}, False),
    "task reads another's job": ("database", "s3:GetObject", bucket("/_backend/verify/1.zip"), {}, False),
    # The one that verifies reads its job, and asks the server for everything else.
    "verifier reads its job": ("verify", "s3:GetObject", bucket("/_backend/verify/1.zip"), {}, True),
    "verifier decrypts it": ("verify", "kms:Decrypt", KEY, {"kms:ViaService": S3}, True),
    "verifier changes the job": ("verify", "s3:PutObject", bucket("/_backend/verify/1.zip"), {}, False),
    "verifier encrypts": ("verify", "kms:GenerateDataKey", KEY, {"kms:ViaService": S3}, False),
    "verifier reads a dump": ("verify", "s3:GetObject", bucket("/_backend/dumps/1"), {}, False),
    "verifier lists dumps": ("verify", "s3:ListBucket", bucket(), {"s3:prefix": "_backend/dumps/"}, False),
    "verifier rewrites the ledger": ("verify", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "verifier deletes the ledger": ("verify", "s3:DeleteObject", bucket("/_backend/ledger/1"), {}, False),
    "verifier reads an artifact": ("verify", "s3:GetObject", bucket("/artifacts/1/x"), {}, False),
    # On a schedule it finds by itself what serves, and its tool.
    "timed verifier reads the ledger": ("verify-scheduled", "s3:GetObject", bucket("/_backend/ledger/1"), {}, True),
    "timed verifier finds the newest": ("verify-scheduled", "s3:GetObject", bucket("/_backend/newest"), {}, True),
    "timed verifier fetches its tool": ("verify-scheduled", "s3:GetObject", bucket("/_backend/verify/1.zip"), {}, True),
    "timed verifier lists the ledger": (
        "verify-scheduled", "s3:ListBucket", bucket(), {"s3:prefix": "_backend/ledger/"}, True,
    ),
    "timed verifier writes the ledger": ("verify-scheduled", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "timed verifier changes its tool": (
        "verify-scheduled", "s3:PutObject", bucket("/_backend/verify/1.zip"), {}, False,
    ),
    "timed verifier reads a dump": ("verify-scheduled", "s3:GetObject", bucket("/_backend/dumps/1"), {}, False),
    "timed verifier reads an artifact": ("verify-scheduled", "s3:GetObject", bucket("/artifacts/1/x"), {}, False),
    # The one that takes backups reads what it backs up, and may create objects at the destination, not replace them.
    "backup reads an artifact": ("backup", "s3:GetObject", bucket("/artifacts/1/x"), {}, True),
    "backup reads the ledger": ("backup", "s3:GetObject", bucket("/_backend/ledger/1"), {}, True),
    "backup finds the newest record": ("backup", "s3:GetObject", bucket("/_backend/newest"), {}, True),
    "backup fetches its tool": ("backup", "s3:GetObject", bucket("/_backend/backup/1.zip"), {}, True),
    "backup changes its tool": ("backup", "s3:PutObject", bucket("/_backend/backup/1.zip"), {}, False),
    "backup lists artifacts": ("backup", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts/"}, True),
    "backup hears that one is gone": ("backup", "s3:ListBucket", bucket(), {}, True),
    "backup dumps": ("backup", "s3:PutObject", bucket("/_backend/staging/1"), {}, True),
    "backup removes its dump": ("backup", "s3:DeleteObject", bucket("/_backend/staging/1"), {}, True),
    "backup locks": ("backup", "s3:PutObject", bucket("/_backend/locks/backup.json"), {}, True),
    "backup decrypts": ("backup", "kms:Decrypt", KEY, {"kms:ViaService": S3}, True),
    "backup writes an artifact": ("backup", "s3:PutObject", bucket("/artifacts/1/x"), {}, False),
    "backup deletes an artifact": ("backup", "s3:DeleteObject", bucket("/artifacts/1/x"), {}, False),
    "backup writes the ledger": ("backup", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "backup reads a migration's dump": ("backup", "s3:GetObject", bucket("/_backend/dumps/1"), {}, False),
    "backup creates": ("backup", "s3:PutObject", KEPT, {**CREATES, "s3:if-none-match": "*"}, True),
    "backup uploads a part": ("backup", "s3:PutObject", KEPT, {"s3:ObjectCreationOperation": "false"}, True),
    "backup reads the last index": ("backup", "s3:GetObject", KEPT, {}, True),
    "backup lists the destination": ("backup", "s3:ListBucket", "arn:aws:s3:::elsewhere", {}, True),
    "backup overwrites": ("backup", "s3:PutObject", KEPT, CREATES, False),
    "backup deletes a backup": ("backup", "s3:DeleteObject", KEPT, {}, False),
    "backup of another stack": (
        "backup", "s3:PutObject", "arn:aws:s3:::elsewhere/team/dev/x", {**CREATES, "s3:if-none-match": "*"}, False,
    ),
    # EventBridge Scheduler starts those tasks, on the one cluster, with exactly their roles.
    "scheduler starts a backup": ("scheduler", "ecs:RunTask", definition("backup"), ON_CLUSTER, True),
    "scheduler passes its role": ("scheduler", "iam:PassRole", NAMING.role_arn("backup"), TO_TASKS, True),
    "scheduler passes the other": ("scheduler", "iam:PassRole", NAMING.role_arn("backup-execution"), TO_TASKS, True),
    # The one that maintains removes artifacts through the servers.
    "maintenance fetches its tool": ("maintenance", "s3:GetObject", bucket("/_backend/backup/1.zip"), {}, True),
    "maintenance lists artifacts": ("maintenance", "s3:ListBucket", bucket(), {"s3:prefix": "artifacts/"}, True),
    "maintenance locks": ("maintenance", "s3:PutObject", bucket("/_backend/locks/backup.json"), {}, True),
    "maintenance changes its tool": ("maintenance", "s3:PutObject", bucket("/_backend/backup/1.zip"), {}, False),
    "maintenance reads an artifact": ("maintenance", "s3:GetObject", bucket("/artifacts/1/x"), {}, False),
    "maintenance deletes an artifact": ("maintenance", "s3:DeleteObject", bucket("/artifacts/1/x"), {}, False),
    "maintenance reads a dump": ("maintenance", "s3:GetObject", bucket("/_backend/dumps/1"), {}, False),
    "maintenance writes the ledger": ("maintenance", "s3:PutObject", bucket("/_backend/ledger/1"), {}, False),
    "scheduler starts a verification": ("scheduler", "ecs:RunTask", definition("verify"), ON_CLUSTER, True),
    "scheduler starts a migration": ("scheduler", "ecs:RunTask", definition("database"), ON_CLUSTER, False),
    "scheduler starts it elsewhere": (
        "scheduler", "ecs:RunTask", definition("backup"), {"ecs:cluster": NAMING.arn("ecs", "cluster/other")}, False,
    ),
    "scheduler passes another role": ("scheduler", "iam:PassRole", NAMING.role_arn("server"), TO_TASKS, False),
    "scheduler passes it to another service": (
        "scheduler", "iam:PassRole", NAMING.role_arn("backup"), {"iam:PassedToService": "ec2.amazonaws.com"}, False,
    ),
    # What ECS does for a task.
    "pulls": ("execution", "ecr:BatchGetImage", REPOSITORY, {}, True),
    "asks for a token": ("execution", "ecr:GetAuthorizationToken", "*", {}, True),
    "pulls another": ("execution", "ecr:BatchGetImage", NAMING.arn("ecr", "repository/other"), {}, False),
    "pushes": ("execution", "ecr:PutImage", REPOSITORY, {}, False),
    "reads the secret": ("execution", "secretsmanager:GetSecretValue", SECRET, {}, True),
    "reads another secret": (
        "execution", "secretsmanager:GetSecretValue", NAMING.arn("secretsmanager", "secret:other-AbCdEf"), {}, False,
    ),
    "writes a secret": ("execution", "secretsmanager:PutSecretValue", SECRET, {}, False),
    "decrypts the secret": ("execution", "kms:Decrypt", KEY, {"kms:ViaService": SECRETS}, True),
    "decrypts anything else": ("execution", "kms:Decrypt", KEY, {"kms:ViaService": S3}, False),
    "logs": (
        "execution", "logs:PutLogEvents", f"{NAMING.log_group_arn('server')}:log-stream:server/server/1", {}, True,
    ),
    "logs elsewhere": (
        "execution", "logs:PutLogEvents", f"{NAMING.log_group_arn('tasks')}:log-stream:x", {}, False,
    ),
    "reads artifacts for ECS": ("execution", "s3:GetObject", bucket("/artifacts/1/x"), {}, False),
    # Below an adopted prefix.
    "adopted: lists": (
        "adopted-server", "s3:ListBucket", "arn:aws:s3:::team-bucket", {"s3:prefix": "ml/flow/artifacts/1"}, True,
    ),
    "adopted: the team's own": (
        "adopted-server", "s3:GetObject", "arn:aws:s3:::team-bucket/ml/other", {}, False,
    ),
    "adopted: the ledger": (
        "adopted-server", "s3:GetObject", "arn:aws:s3:::team-bucket/ml/flow/_backend/ledger/1", {}, False,
    ),
}  # fmt: skip


def _principal(role: str) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/task"


@pytest.fixture(scope="module")
def decided() -> Mapping[str, bool]:
    """All decisions, made by one run of the simulator."""
    questions = [
        Question(
            principal=_principal(role), action=action, resource=resource, identity=[ROLES[role]],
            account=ACCOUNT, context=context, resource_policy=KEY_POLICY if action.startswith("kms:") else None,
        )
        for role, action, resource, context, _ in CASES.values()
    ]  # fmt: skip
    return dict(zip(CASES, ask(questions), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_each_role_may_do_its_work_and_nothing_else(case: str, decided: Mapping[str, bool]) -> None:
    """Allowed and denied cases both: a policy that allows too much passes every test that only asks what must work."""
    assert decided[case] is CASES[case][-1]


def test_listing_is_granted_on_the_bucket_itself() -> None:
    """Granted on `bucket/*` it grants nothing: a real deployment was denied exactly this."""
    spoilt = json.loads(json.dumps(ROLES["server"]))
    grant = next(each for each in spoilt["Statement"] if each["Sid"] == "ListOwnPrefix")
    grant["Resource"] += "/*"
    question = Question(
        principal=_principal("server"),
        action="s3:ListBucket",
        resource=bucket(),
        identity=[spoilt],
        account=ACCOUNT,
        context={"s3:prefix": "artifacts/"},
    )
    assert ask([question]) == [False]


def _of_bucket(identity: policies.Document, action: str, path: str, *, tls: str = "true") -> Question:
    return Question(
        principal=_principal(NAMING.role("server")),
        action=action,
        resource=bucket(path),
        identity=[identity],
        account=ACCOUNT,
        context={"aws:SecureTransport": tls, "s3:prefix": "artifacts/"},
        resource_policy=policies.data_bucket(NAMING, STORE, server_role_arn=NAMING.role_arn("server")),
    )


def test_the_bucket_itself_insists_on_tls_and_on_its_own_part() -> None:
    """Whatever the server's role is granted later, plain HTTP and `_backend/` stay closed."""
    everything = policies.document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    answers = ask(
        [
            _of_bucket(ROLES["server"], "s3:GetObject", "/artifacts/1/x"),
            _of_bucket(ROLES["server"], "s3:GetObject", "/artifacts/1/x", tls="false"),
            _of_bucket(ROLES["server"], "s3:ListBucket", "", tls="false"),
            _of_bucket(everything, "s3:GetObject", "/artifacts/1/x"),
            _of_bucket(everything, "s3:GetObject", "/_backend/dumps/1"),
        ]
    )
    assert answers == [True, False, False, True, False]


def test_a_boundary_bounds() -> None:
    """A permissions boundary that forgets S3 leaves the server without it: the simulator knows boundaries."""
    question = Question(
        principal=_principal("server"),
        action="s3:GetObject",
        resource=bucket("/artifacts/1/x"),
        identity=[ROLES["server"]],
        account=ACCOUNT,
        boundary=policies.document({"Effect": "Allow", "Action": "logs:*", "Resource": "*"}),
    )
    assert ask([question]) == [False]


@pytest.mark.parametrize("role", ROLES)
def test_documents_hold_no_wildcard_where_an_arn_could_stand(role: str) -> None:
    """`*` alone stands only if AWS knows no resource, and no action is a wildcard but in a Deny."""
    for statement in ROLES[role]["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert not any("*" in action for action in actions), statement["Sid"]
        if "*" in resources:
            assert actions == ["ecr:GetAuthorizationToken"]


def _parliament(document: policies.Document) -> list[str]:
    with warnings.catch_warnings():
        # parliament imports pkg_resources, which warns that it is old.
        warnings.simplefilter("ignore")
        from parliament import analyze_policy_string  # noqa: PLC0415

        analyzed = analyze_policy_string(json.dumps(document))
    return [f"{finding.issue} {finding.detail}" for finding in analyzed.findings]


@pytest.mark.parametrize("role", ROLES)
def test_parliament_finds_nothing(role: str) -> None:
    """No unknown action, no condition key that the action lacks, no resource of another service."""
    assert _parliament(ROLES[role]) == []


def test_parliament_would_have_found_it() -> None:
    """A green verdict means something."""
    spoilt = json.loads(json.dumps(ROLES["server"]))
    spoilt["Statement"][0]["Action"] = "s3:ListBuckets"
    assert _parliament(spoilt)


@pytest.mark.parametrize("name", ["key", "topic", "logs", "data", "trust"])
def test_resource_policies_name_who_and_from_where(name: str) -> None:
    """A service that is let in is let in for this account only (the confused deputy)."""
    documents: dict[str, Any] = {
        "key": policies.key(NAMING, log_group_arns=[NAMING.log_group_arn("server")]),
        "topic": policies.topic(NAMING, topic_arn=NAMING.arn("sns", NAMING.topic())),
        "logs": policies.logs_bucket(NAMING, bucket=NAMING.bucket("logs"), data_bucket_arn=bucket()),
        "data": policies.data_bucket(NAMING, STORE, server_role_arn=NAMING.role_arn("server")),
        "trust": ecs_policies.tasks_trust(NAMING),
    }
    for statement in documents[name]["Statement"]:
        assert statement["Principal"]
        if "Service" in (statement["Principal"] if isinstance(statement["Principal"], dict) else {}):
            held = statement.get("Condition") or f"/AWSLogs/{ACCOUNT}/" in statement["Resource"]
            assert held, statement["Sid"]


def test_the_balancer_may_write_its_test_file() -> None:
    """Whether AWS sends aws:SourceArn with the file that it writes first is unknown; so nothing asks for it."""
    document = policies.logs_bucket(NAMING, bucket=NAMING.bucket("logs"), data_bucket_arn=None)
    (writer,) = [each for each in document["Statement"] if each["Sid"] == "WriteBalancerLogs"]
    assert "Condition" not in writer


def test_only_this_accounts_tasks_take_a_role() -> None:
    """Another account's task cannot make ECS take our role for it."""
    trust = ecs_policies.tasks_trust(NAMING)["Statement"][0]
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


def test_an_image_outside_ecr_needs_nothing_of_ecr() -> None:
    """No grant without a use."""
    document = ecs_policies.execution(
        NAMING, secrets=[SECRET], keys=[], log_group=NAMING.log_group_arn("server"), repository_arn=None
    )
    assert {statement["Sid"] for statement in document["Statement"]} == {"WriteOwnLogs", "ReadOwnSecrets"}


def test_one_spelling() -> None:
    """The order in which ARNs came makes no diff."""
    first = ecs_policies.execution(NAMING, secrets=["b", "a"], keys=["y", "x"], log_group="g", repository_arn=None)
    second = ecs_policies.execution(
        NAMING, secrets=["a", "b", "a"], keys=["x", "y"], log_group="g", repository_arn=None
    )
    assert policies.text(first) == policies.text(second)


def test_the_ledger_has_an_address_before_there_is_anything() -> None:
    """`__main__` reads the pin before the first resource exists."""
    assert storage.store(settings_of("staging"), NAMING).address(LEDGER) == f"s3://{STORE.bucket}/_backend/ledger"
    adopted = storage.store(settings_of("adopted"), naming_of("adopted"))
    assert adopted == S3Root(bucket="team-bucket", root="ml/flow", key_arn=adopted.key_arn)
    assert adopted.address(LEDGER) == "s3://team-bucket/ml/flow/_backend/ledger"
    assert adopted.address(ARTIFACTS) == "s3://team-bucket/ml/flow/artifacts"
