"""What the workload within the cluster is rendered from, the roles of its pods, and the cluster's own documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render import cluster, storage
from mlflow_backend.aws.render.database import DATABASE_CA
from mlflow_backend.contract import Refused
from mlflow_backend.eks import rendered
from mlflow_backend.eks.locator import EksLocator, eks_locator
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.eks.roles import roles
from mlflow_backend.eks.within import within
from mlflow_backend.kubernetes.naming import SERVER, TASKS, VERIFY
from mlflow_backend.kubernetes.render import server
from mlflow_backend.locator import from_document
from mlflow_backend.schedules import MAINTENANCE
from tests.components.eks.stacks import ACCOUNT, REGION, STACK, VARIANTS, settings_of
from tests.components.kubernetes.documents import all_of, environment_of

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

NAMES = {"project": "mlflow-backend", "stack": STACK}


def derived(settings: Settings) -> Settings:
    """Return the settings within the cluster."""
    return within(settings, *naming_of(settings, **NAMES))


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_takes_every_document(variant: str) -> None:
    """Strictly: an unknown field is refused, which an API server would drop without a word."""
    for document in all_of(derived(settings_of(variant))).values():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_what_aws_draws_comes_to_the_pods_by_secrets() -> None:
    """Documents, and the release's identity, are known before AWS has drawn anything."""
    given = environment_of(all_of(derived(settings_of()))[SERVER])
    assert given["MLFLOW_BACKEND_DATABASE_HOST"] == ("mlflow-eks-database-login", "host")
    assert given["PGPASSWORD"] == ("mlflow-eks-database-login", "password")
    assert given["MLFLOW_GATEWAY_BUDGET_REDIS_URL"] == ("mlflow-eks-cache-login", "url")
    assert given["PGSSLROOTCERT"] == DATABASE_CA
    assert "AWS_ACCESS_KEY_ID" not in given


def test_stores_within_the_cluster_are_those_of_the_target_kubernetes() -> None:
    """With encrypted volumes by default."""
    found = all_of(derived(settings_of("within")))
    claim = found["database"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "mlflow-backend"
    named = settings_of("within", {"kubernetes": {"database": {"storageClass": "mine"}}})
    claim = all_of(derived(named))["database"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "mine"


def test_another_place_of_a_store_is_another_release_and_another_size_is_none() -> None:
    """The identity is over what pods are given."""

    def identity(settings: Settings) -> str:
        return server.identity(derived(settings), naming_of(settings, **NAMES)[1])

    same = settings_of(over={"aws": {"database": {"instanceClass": "db.m6g.xlarge"}}})
    assert identity(settings_of()) == identity(same)
    assert identity(settings_of()) != identity(settings_of("adopted"))


def test_each_account_may_do_what_its_pods_are_for() -> None:
    """The server is kept out of dumps and ledger, which hold password hashes."""
    settings = settings_of()
    naming, _ = naming_of(settings, **NAMES)
    found = {each.part: each.written({"store": storage.store(settings, naming)}) for each in roles(settings, naming)}
    assert set(found) == {SERVER, TASKS, VERIFY, MAINTENANCE}
    texts = {part: _allowed(document) for part, document in found.items()}
    assert "_backend" not in texts[SERVER]
    assert "_backend/dumps" in texts[TASKS]
    assert "/artifacts" not in texts[TASKS]
    assert "PutObject" not in texts[VERIFY]
    assert "_backend/ledger" not in texts[VERIFY]
    assert "/artifacts" not in texts[MAINTENANCE]
    assert "_backend/locks" in texts[MAINTENANCE]


def test_work_on_schedules_is_that_of_the_target_kubernetes_with_roles_of_its_pods() -> None:
    """A verification that nobody starts reads the ledger itself; it writes nothing."""
    settings = settings_of(over={"verify": {"schedule": "0 * * * *"}, "maintain": {"schedule": "0 3 * * 0"}})
    found = all_of(derived(settings))
    for work, account, schedule in (
        ("verification", "verify", "0 * * * *"),
        ("maintenance", "maintenance", "0 3 * * 0"),
    ):
        assert found[f"{work}-schedule"]["spec"]["schedule"] == schedule
        pod = found[f"{work}-schedule"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["serviceAccountName"].endswith(f"-{account}")
        job = json.loads(found[f"{work}-tool"]["data"]["job.json"])
        assert job["store"]["region"] == REGION
    naming, _ = naming_of(settings, **NAMES)
    (verify,) = [each for each in roles(settings, naming) if each.part == VERIFY]
    allowed = _allowed(verify.written({"store": storage.store(settings, naming)}))
    assert "_backend/ledger" in allowed
    assert "PutObject" not in allowed


def test_backups_are_taken_by_pods_with_a_role_of_their_own() -> None:
    """No key is in the cluster; the bucket is in the backend's region unless another is named."""
    found = all_of(derived(settings_of("private")))
    job = json.loads(found["backup-tool"]["data"]["job.json"])
    assert (job["target"], job["destination"]["region"]) == ("eks", REGION)
    assert "MLFLOW_BACKEND_BACKUP_ACCESS_KEY_ID" not in environment_of(found["backup"])
    parts = rendered.render(settings_of("private"), **NAMES)
    assert "elsewhere/team/eks/*" in _allowed(parts.documents["role backup"])
    elsewhere = settings_of("private", {"kubernetes": {"backup": {"region": "eu-central-1"}}})
    job = json.loads(all_of(derived(elsewhere))["backup-tool"]["data"]["job.json"])
    assert job["destination"]["region"] == "eu-central-1"


def test_roles_are_taken_by_pods_of_this_namespace_of_this_cluster_alone() -> None:
    """The service is one for all clusters of all accounts."""
    (statement,) = cluster.pods_trust(cluster_arn="arn:cluster", namespace="mlflow")["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert set(statement["Action"]) == {"sts:AssumeRole", "sts:TagSession"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-arn": "arn:cluster",
        "aws:RequestTag/kubernetes-namespace": "mlflow",
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_locator_is_known_before_anything_is_made_and_read_back_as_it_was(variant: str) -> None:
    """A preview of a first update knows it; it holds no secret."""
    settings = settings_of(variant)
    connection = Connection(REGION, role="arn:aws:iam::123456789012:role/deploy")
    located = eks_locator(settings, *naming_of(settings, **NAMES), connection)
    assert isinstance(located, EksLocator)
    assert from_document(json.loads(json.dumps(located.document()))) == located
    assert located.aws == connection
    assert located.context == f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{located.cluster}"
    assert located.connection.context == located.context
    assert located.address.startswith("s3://")
    assert bool(located.database) == bool(located.administrator) == (variant in {"eks", "private"})


def test_previews_are_shown_containers_and_documents() -> None:
    """The policy pack judges them before anything is there."""
    parts = rendered.render(settings_of(), **NAMES)
    assert set(parts.containers) == {"server", "database tool", "verification", "maintenance"}
    assert set(parts.documents) == {
        *(f"role {each}" for each in (SERVER, TASKS, VERIFY, MAINTENANCE)),
        "key policy",
        "data bucket policy",
        "alarm topic policy",
    }
    assert "data bucket policy" not in rendered.render(settings_of("adopted"), **NAMES).documents
    assert "alarm topic policy" not in rendered.render(settings_of("within"), **NAMES).documents, "nothing is watched"


def test_a_cluster_is_billed_by_its_hours_and_its_fewest_nodes() -> None:
    """A preview counts what the settings ask for; what is not known yet is no number."""
    nodes = rendered.BILLING["aws:eks/nodeGroup:NodeGroup"].counted
    (found,) = nodes({"instanceTypes": ["m6i.large"], "scalingConfig": {"minSize": 2, "maxSize": 4}})
    assert (found.key, found.amount) == ("ec2-instance:m6i.large", 2)
    (unknown,) = nodes({})
    assert unknown.amount is None
    (plane,) = rendered.BILLING["aws:eks/cluster:Cluster"].counted({})
    assert plane.amount == 1


def _allowed(document: dict[str, Any]) -> str:
    return json.dumps([each for each in document["Statement"] if each["Effect"] == "Allow"])


OFFERED: list[dict[str, Any]] = [
    {
        "addonName": "coredns",
        "addonVersions": [
            {
                "addonVersion": "v1.13.0-eksbuild.1",
                "compatibilities": [{"clusterVersion": "1.35", "defaultVersion": True}],
            },
            {
                "addonVersion": "v1.12.4-eksbuild.1",
                "compatibilities": [{"clusterVersion": "1.34", "defaultVersion": False}],
            },
            {
                "addonVersion": "v1.12.3-eksbuild.1",
                "compatibilities": [
                    {"clusterVersion": "1.33", "defaultVersion": False},
                    {"clusterVersion": "1.34", "defaultVersion": True},
                ],
            },
        ],
    }
]


def test_an_add_on_has_the_default_version_of_its_kubernetes() -> None:
    """Neither the newest one nor another Kubernetes's."""
    assert cluster.default_version("coredns", "1.34", OFFERED) == "v1.12.3-eksbuild.1"


@pytest.mark.parametrize(("addon", "kubernetes"), [("coredns", "1.32"), ("vpc-cni", "1.34")])
def test_an_add_on_without_a_version_is_refused(addon: str, kubernetes: str) -> None:
    """No version is ever made up."""
    with pytest.raises(Refused) as refused:
        cluster.default_version(addon, kubernetes, OFFERED)
    assert refused.value.code == "eks-addon-unresolved"
    assert "eks.addons." in str(refused.value)
