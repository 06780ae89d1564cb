"""The documents: what Kubernetes takes, what every pod is held to, and what each is for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest

from mlflow_backend import one_shot
from mlflow_backend.aws.render.database import DATABASE_CA
from mlflow_backend.kubernetes.naming import CACHE, CANDIDATE, DATABASE, JOB, SERVER
from mlflow_backend.kubernetes.render import monitoring, network, oneshot, pods, server
from mlflow_backend.schedules import BACKUP
from mlflow_backend.server import SecretTemplate, describe
from tests.components.kubernetes.documents import all_of, container_of, environment_of, pod_of
from tests.components.kubernetes.stacks import IMAGE, VARIANTS, naming, settings_of

if TYPE_CHECKING:
    from tests.components.kubernetes.documents import Document

# The minor releases that the Kubernetes project supports: the oldest of them, and the newest with a schema.
SUPPORTED = ("1.34", kubernetes_validate.latest_version())
PODS = (SERVER, CANDIDATE, "database-tool", "verify", "job", DATABASE, CACHE)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", SUPPORTED)
def test_kubernetes_takes_every_document(variant: str, version: str) -> None:
    """Strictly: an unknown field is refused, which an API server would drop without a word."""
    for document in all_of(settings_of(variant)).values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_refuse_what_is_no_field() -> None:
    """Otherwise the test above shows nothing."""
    document = all_of(settings_of())[SERVER]
    document["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, SUPPORTED[0], strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_is_restricted(variant: str) -> None:
    """Pod Security Standards, level restricted, with a read-only root, no token, and no variables of Services."""
    found = all_of(settings_of(variant))
    for part in found.keys() & {*PODS, BACKUP}:
        spec, container = pod_of(found[part])["spec"], container_of(found[part])
        assert spec["securityContext"]["runAsNonRoot"], part
        assert spec["securityContext"]["runAsUser"] > 0, part
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, part
        assert spec["automountServiceAccountToken"] is False, part
        assert spec["enableServiceLinks"] is False, part
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        }, part
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(spec), part


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_volume_is_bounded_and_every_container_too(variant: str) -> None:
    """A pod that fills a node's disk or memory takes its neighbours with it."""
    found = all_of(settings_of(variant))
    for part in found.keys() & {*PODS, BACKUP}:
        for volume in pod_of(found[part])["spec"]["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), (part, volume)
        given = container_of(found[part])["resources"]
        assert {"cpu", "memory"} <= given["requests"].keys(), part
        assert "memory" in given["limits"], part


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_document_holds_a_secret(variant: str) -> None:
    """Everybody who may read a Deployment reads its environment: secrets are references."""
    found = all_of(settings_of(variant))
    for part in found.keys() & {SERVER, CANDIDATE, "database-tool", "verify", BACKUP}:
        for name, value in environment_of(found[part]).items():
            if any(word in name for word in ("PASSWORD", "SECRET", "PASSPHRASE", "REDIS_URL", "ENCRYPTION_KEY")):
                assert isinstance(value, tuple), (part, name)
    assert "://:" not in json.dumps(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_and_selectors_agree(variant: str) -> None:
    """A selector that finds nothing is a Service without endpoints, or a policy that protects nobody."""
    settings = settings_of(variant)
    found, name = all_of(settings), naming(settings)
    for part in found.keys() & {SERVER, CANDIDATE, DATABASE, CACHE}:
        labels = pod_of(found[part])["metadata"]["labels"]
        assert name.selector(part).items() <= labels.items()
        assert found[part]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert name.selector(JOB).items() <= pod_of(found["database-tool"])["metadata"]["labels"].items()


def test_the_server_runs_what_is_described() -> None:
    """Command, port and probes are the description's, the image is the settings', by digest."""
    settings = settings_of()
    container = container_of(all_of(settings)[SERVER])
    described = describe(server.inputs(settings, naming(settings)))
    assert tuple(container["command"]) == described.argv
    assert container["image"] == IMAGE
    assert container["ports"] == [{"name": "http", "containerPort": described.port, "protocol": "TCP"}]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1024Mi"},
        "limits": {"cpu": "1000m", "memory": "2048Mi"},
    }


def test_readiness_gates_the_start_and_life_alone_the_rest() -> None:
    """A database that is away for two minutes neither replaces pods nor empties the Service."""
    container = container_of(all_of(settings_of())[SERVER])
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/health/ready", "readinessProbe": "/health", "livenessProbe": "/health"}
    for name in paths:
        # MLflow refuses the pod's address, which the kubelet would send.
        assert container[name]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    start = container["startupProbe"]
    assert start["failureThreshold"] * start["periodSeconds"] >= 180
    assert start["periodSeconds"] < container["readinessProbe"]["periodSeconds"], "each pod of a rollout waits for it"


def test_a_rollout_drops_no_request() -> None:
    """New pods come first, old ones are drained before they stop to listen, and have time for the longest request."""
    settings = settings_of(over={"server": {"requestTimeout": 600}})
    spec = all_of(settings)[SERVER]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = spec["template"]["spec"]
    *shell, script = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (shell, script.split(";")[0]) == (["sh", "-c"], f"sleep {server.DRAIN_S}")
    assert pod["terminationGracePeriodSeconds"] > server.DRAIN_S + 600


def test_nobody_but_the_autoscaler_owns_the_number_of_servers() -> None:
    """An update that said a number would move it back."""
    found = all_of(settings_of())
    assert "replicas" not in found[SERVER]["spec"]
    scaled = found["autoscaler"]["spec"]
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (2, 4)
    assert scaled["scaleTargetRef"]["name"] == found[SERVER]["metadata"]["name"]
    targets = {each["resource"]["name"]: each["resource"]["target"] for each in scaled["metrics"]}
    # Of the limit: four workers at rest have more than what is set aside, and would always scale out.
    assert targets["memory"] == {"type": "AverageValue", "averageValue": "1638Mi"}
    assert targets["cpu"] == {"type": "Utilization", "averageUtilization": 70}


def test_a_candidate_is_one_server_of_the_new_release() -> None:
    """What is verified is what users will meet: the pod templates differ in the component's label only."""
    found = all_of(settings_of())
    ours, theirs = pod_of(found[CANDIDATE]), pod_of(found[SERVER])
    assert ours["spec"]["containers"] == theirs["spec"]["containers"]
    assert ours["metadata"]["annotations"] == theirs["metadata"]["annotations"]
    assert found[CANDIDATE]["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    "over",
    [
        {"server": {"image": IMAGE.replace("a" * 64, "b" * 64)}},
        {"server": {"mlflowVersion": "3.16.0"}},
        {"server": {"workers": 3}},
        {"server": {"extraFlags": {"gunicorn-something": "1"}}},
        {"kubernetes": {"artifacts": {"region": "eu-west-1"}}},
        {"network": {"publicUrl": "https://other.example.com"}},
    ],
)
def test_what_pods_are_given_is_the_release(over: dict[str, Document]) -> None:
    """A failed release is blocked by its identity: anything else in its pods is another one."""
    settings, other = settings_of(), settings_of(over=over)
    assert server.identity(settings, naming(settings)) != server.identity(other, naming(other))


def test_what_pods_are_not_given_is_no_other_release() -> None:
    """Another number of servers, or another deadline, lifts no block."""
    settings = settings_of()
    other = settings_of(over={"server": {"replicas": 3}, "verify": {"deadline": 60}})
    assert server.identity(settings, naming(settings)) == server.identity(other, naming(other))


def test_the_server_answers_to_every_name_that_it_is_called_by() -> None:
    """MLflow's Host check refuses what it does not know: the ingress, the Service's four spellings, the candidate's."""
    command = container_of(all_of(settings_of())[SERVER])["command"]
    hosts = command[command.index("--allowed-hosts") + 1].split(",")
    for host in ("mlflow.example.com", "mlflow-cluster", "mlflow-cluster.mlflow", "mlflow-cluster.mlflow.svc"):
        assert host in hosts
    assert "mlflow-cluster.mlflow.svc.cluster.local:*" in hosts
    assert "mlflow-cluster-candidate.mlflow.svc:*" in hosts
    assert "localhost:*" in hosts


def test_proxies_are_trusted_only_if_one_stands_in_front() -> None:
    """Without an Ingress a caller could write any address into a header."""
    trusted = "MLFLOW_BACKEND_TRUSTED_PROXIES"
    assert environment_of(all_of(settings_of())[SERVER])[trusted] == "1"
    assert environment_of(all_of(settings_of("inside"))[SERVER])[trusted] == "0"


def test_the_database_tool_means_the_servers_database() -> None:
    """It has the server's environment, the former keys, and the administrator of a created database only."""
    found = all_of(settings_of())
    ours, theirs = environment_of(found["database-tool"]), environment_of(found[SERVER])
    assert theirs.items() <= ours.items()
    assert ours["MLFLOW_BACKEND_ADMIN_PASSWORD"] == ("mlflow-cluster-server", "database-admin-password")
    assert ours["MLFLOW_BACKEND_FORMER_KEYS"] == ("mlflow-cluster-server", "former-keys")
    adopted = environment_of(all_of(settings_of("adopted"))["database-tool"])
    assert "MLFLOW_BACKEND_ADMIN_PASSWORD" not in adopted
    assert adopted["PGPASSWORD"] == ("team-database", "password")


def test_a_host_in_a_secret_is_put_into_the_address_of_the_database() -> None:
    """Kubernetes expands only what stands before; the tool's administrator is given by somebody else."""
    found = all_of(settings_of("rds"))
    for part in (SERVER, "database-tool"):
        first, *_ = container_of(found[part])["env"]
        assert first["name"] == "MLFLOW_BACKEND_DATABASE_HOST", part
        given = environment_of(found[part])
        assert given["MLFLOW_BACKEND_DATABASE_HOST"] == ("rds-login", "host"), part
        assert "@$(MLFLOW_BACKEND_DATABASE_HOST):5432/mlflow" in given["MLFLOW_BACKEND_STORE_URI"], part
        assert "$$(" not in given["MLFLOW_BACKEND_STORE_URI"], part
        assert given["PGSSLMODE"] == "verify-full", part
        assert given["PGSSLROOTCERT"] == DATABASE_CA, part
    tool = environment_of(found["database-tool"])
    assert tool["MLFLOW_BACKEND_ADMIN_USER"] == ("rds-administrator", "username")
    assert tool["MLFLOW_BACKEND_ADMIN_PASSWORD"] == ("rds-administrator", "password")
    assert "MLFLOW_BACKEND_ADMIN_PASSWORD" not in environment_of(found[SERVER])


def test_whoever_needs_rights_of_its_own_from_a_cloud_has_an_account_of_its_own() -> None:
    """A server that had the database tool's rights could read dumps, which hold password hashes."""
    found = all_of(settings_of())
    named = {part: pod_of(found[part])["spec"]["serviceAccountName"] for part in (*PODS, "maintenance")}
    assert named[SERVER] == named[CANDIDATE]
    assert named["database-tool"] == named["job"]
    assert named[DATABASE] == named[CACHE]
    assert len(set(named.values())) == 5
    made = {each["metadata"]["name"] for part, each in found.items() if part.startswith("account-")}
    assert made == set(named.values())


def test_a_created_database_speaks_tls_alone_and_keeps_its_volume() -> None:
    """The server verifies its certificate; its data outlive the stack unless that is given up."""
    found = all_of(settings_of())
    command = container_of(found[DATABASE])["command"]
    assert "ssl=on" in command
    assert "hostssl all all all" in command[2]
    assert environment_of(found[SERVER])["PGSSLMODE"] == "verify-full"
    keeps = "persistentVolumeClaimRetentionPolicy"
    assert found[DATABASE]["spec"][keeps]["whenDeleted"] == "Retain"
    assert all_of(settings_of("own-s3"))[DATABASE]["spec"][keeps]["whenDeleted"] == "Delete"


def test_a_job_has_one_try_and_ends_by_itself() -> None:
    """A second writer is never started by the cluster, and a deployer that was killed leaves nothing for long."""
    template = all_of(settings_of())["database-tool"]
    job = oneshot.job(template, token="x", command=["echo", "$(date)"], deadline_s=60.0, image="other")
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == one_shot.START_S + 60
    assert "ttlSecondsAfterFinished" in job["spec"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == [*oneshot.BEFORE, "echo", "$$(date)"]
    assert container["image"] == "other"
    assert container_of(template)["image"] == IMAGE


def test_policies_deny_by_default_and_name_each_flow() -> None:
    """All pods are closed both ways; servers are called by the ingress, by labelled clients and by Jobs alone."""
    settings = settings_of()
    name, found = naming(settings), network.policies(settings_of(), naming(settings_of()))
    assert found["default"]["spec"] == {
        "podSelector": {"matchLabels": name.selector()},
        "policyTypes": ["Ingress", "Egress"],
    }
    (flow,) = found[SERVER]["spec"]["ingress"]
    assert flow["ports"] == [{"port": 5000, "protocol": "TCP"}]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in flow["from"]
    (flow,) = found[DATABASE]["spec"]["ingress"]
    assert flow["ports"] == [{"port": 5432, "protocol": "TCP"}]
    assert all("podSelector" in each and "namespaceSelector" not in each for each in flow["from"])
    assert "egress" not in found[DATABASE]["spec"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_metadata_services_are_out_of_reach(variant: str) -> None:
    """Whoever reaches a link-local address has the node's rights; the pod identity agent alone is an exception."""
    settings = settings_of(variant)
    (egress,) = [network.policies(settings, naming(settings))["out"]["spec"]["egress"]]
    for flow in egress:
        for peer in flow["to"]:
            block = peer.get("ipBlock", {"cidr": ""})
            if block["cidr"] == "0.0.0.0/0":
                assert "169.254.0.0/16" in block["except"]
    agents = [flow for flow in egress if {"ipBlock": {"cidr": "169.254.170.23/32"}} in flow["to"]]
    assert bool(agents) == (settings.kubernetes.artifacts.secret is None)


def test_the_store_of_somebody_else_is_called_at_its_port() -> None:
    """A policy that names 443 alone would cut it off."""
    settings = settings_of("own-s3")
    out = network.policies(settings, naming(settings))["out"]["spec"]["egress"]
    assert 9000 in {port["port"] for flow in out for port in flow["ports"]}
    given = environment_of(all_of(settings)["verify"])
    assert given["AWS_ENDPOINT_URL_S3"] == "http://s3.storage.svc:9000"
    assert given["AWS_SECRET_ACCESS_KEY"] == ("s3-keys", "secret-access-key")


def test_an_ingress_takes_any_body_and_waits_for_the_longest_request() -> None:
    """ingress-nginx refuses more than 1 MiB by default, and gives up after a minute."""
    settings = settings_of(over={"kubernetes": {"ingress": {"annotations": {"team/owner": "ml"}}}})
    found = network.ingress(settings, naming(settings))
    annotations = found["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "300"
    assert annotations["team/owner"] == "ml"
    assert found["spec"]["tls"] == [{"hosts": ["mlflow.example.com"], "secretName": "mlflow-tls"}]


def test_what_no_secret_holds_is_refused_before_a_pod_is_made() -> None:
    """A pod without it would start, and fail with whatever the server says."""
    with pytest.raises(Exception, match="NAME"):
        pods.secret_keys({"NAME": SecretTemplate(text="{unknown}")}, {})
    with pytest.raises(ValueError, match="both"):
        pods.environment({"A": "1"}, {"A": pods.SecretKey(secret="s", key="k")})


def test_prometheus_asks_the_servers_only_and_only_if_it_is_named() -> None:
    """Figures name experiments' tables and routes: nobody but Prometheus reaches the port, and no candidate has it."""
    plain, watched = all_of(settings_of()), all_of(settings_of("watched"))
    assert "9464" not in json.dumps(plain)
    flows = watched["policy-server"]["spec"]["ingress"]
    (asked,) = [flow for flow in flows if flow["ports"][0]["port"] == 9464]
    assert asked["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert "9464" not in json.dumps(watched["policy-candidate"])
    assert "9464" not in json.dumps(watched["candidate-service"])
    assert environment_of(watched[SERVER])["MLFLOW_BACKEND_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - in a pod


def test_the_operator_finds_the_servers_by_what_the_service_says() -> None:
    """A monitor that selects nothing is as quiet as a healthy backend."""
    settings = settings_of("watched")
    service, found = all_of(settings)["service"], monitoring.documents(settings, naming(settings))
    spec = found["ServiceMonitor"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        not spec["selector"]["matchLabels"].items()
        <= all_of(settings)["candidate-service"]["metadata"]["labels"].items()
    )
    assert {each["port"] for each in spec["endpoints"]} <= {each["name"] for each in service["spec"]["ports"]}
    container = {each["name"]: each["containerPort"] for each in container_of(all_of(settings)[SERVER])["ports"]}
    assert {each["targetPort"] for each in service["spec"]["ports"]} <= container.keys()
    own = f'job="{service["metadata"]["name"]}", namespace="mlflow"'
    rules = found["PrometheusRule"]["spec"]["groups"][0]["rules"]
    alerts = [each for each in rules if "alert" in each]
    assert alerts
    assert all(own in each["expr"] for each in alerts)
    assert all(each["metadata"]["labels"]["release"] == "prometheus" for each in found.values())


def test_the_rules_record_what_the_cronjobs_do_that_are_there() -> None:
    """The name of one that is not made would be as quiet as one that works; without a schedule nothing is wanted."""
    settings = settings_of("backed-up", {"maintain": {"schedule": "0 3 * * 0"}, "verify": {"schedule": "0 * * * *"}})
    rules = monitoring.documents(settings, naming(settings))["PrometheusRule"]["spec"]["groups"][0]["rules"]
    expressions = [each["expr"] for each in rules if "record" in each]
    named = {name for each in expressions for name in re.findall('cronjob="([^"]+)"', each)}
    made = {each["metadata"]["name"] for each in all_of(settings).values() if each["kind"] == "CronJob"}
    assert named == made
    assert len(made) == 3
    assert all('namespace="mlflow"' in each for each in expressions)
    plain = monitoring.documents(settings_of(), naming(settings))["PrometheusRule"]["spec"]["groups"][0]["rules"]
    assert not any("cronjob" in each["expr"] for each in plain)


def test_the_rules_record_when_the_certificate_of_the_ingress_ends() -> None:
    """Of the Secret that the Ingress names, in the backend's namespace; without HTTPS there is none."""
    settings = settings_of(
        "watched",
        {"network": {"publicUrl": "https://m.example.com"}, "kubernetes": {"ingress": {"tlsSecret": "public"}}},
    )
    rules = monitoring.documents(settings, naming(settings))["PrometheusRule"]["spec"]["groups"][0]["rules"]
    (expression,) = [each["expr"] for each in rules if each.get("record", "").endswith("certificate_end_time_seconds")]
    assert 'name="public", exported_namespace="mlflow"' in expression
    (secret,) = {each["secretName"] for each in all_of(settings)["ingress"]["spec"]["tls"]}
    assert secret == "public"


def test_the_operators_grafana_finds_a_dashboard_of_the_same_series() -> None:
    """By the label that its sidecar looks for; queries on other labels than the monitor's would draw nothing."""
    settings = settings_of("watched")
    found = monitoring.dashboard(naming(settings))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    (content,) = found["data"].values()
    queries = [target["expr"] for panel in json.loads(content)["panels"] for target in panel["targets"]]
    own = f'job="{naming(settings).prefix}", namespace="mlflow"'
    assert queries
    assert all(own in query for query in queries)
    assert len(content) < 2**20, "a ConfigMap has no room for it"
