"""Each behaviour of Cloud Run that the rig has (tests/rig/gcp/behaviours.py), against the rig alone."""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.rig.clock import TINY, Clock
from tests.rig.gcp.behaviours import BEHAVIOURS
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.rig import PROJECT, GcpRig
from tests.rig.gcp.run.controller import IDLE_S
from tests.rig.gcp.scene import Scene
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rig.gcp.run.instance import Instance

_MIB = 1 << 20
_SOON_S = 60
SOMEBODY = "somebody@example.com"


@pytest.fixture(scope="module")
def gcp(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpRig]:
    """Emulated Google Cloud for containers that start at once."""
    with GcpRig(tmp_path_factory.mktemp("gcp"), TINY) as made:
        yield made


@pytest.fixture
def scene(gcp: GcpRig, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A service's surroundings, under a name of the test's own; what the test made is deleted."""
    made = Scene(gcp, f"s{len(gcp.accounts.kept)}")
    yield made
    if made.resource in gcp.services.kept:
        made.delete()
    assert gcp.live == []


def refused(call: Callable[[], Any]) -> Failed:
    """Return how a call failed."""
    with pytest.raises(Failed) as caught:
        call()
    return caught.value


def served_by(scene: Scene, **options: Any) -> str:
    """Return the revision that answers."""
    answer = scene.rig.ask(scene.url("env", **options))
    assert answer.status == 200, answer.data
    return str(json.loads(answer.data)["K_REVISION"])


def of(scene: Scene, revision: str = "") -> list[Instance]:
    """Return the live instances of the scene's service, or of one of its revisions."""
    found = scene.rig.services.kept[scene.resource].revisions
    return [each for name, one in found.items() if revision in ("", name) for each in one.live]


def soon(probe: Callable[[], Any], what: str) -> None:
    """Wait until something is so."""
    until(probe, what=what, deadline_s=_SOON_S)


def test_every_behaviour_is_tested() -> None:
    """A row without a test would be a claim."""
    assert {f"test_{each}" for each in BEHAVIOURS} <= set(globals())


def test_two_urls(scene: Scene) -> None:
    """Both forms answer, of the service and of a tag."""
    made = scene.create(scene.body(traffic=[scene.latest(tag="r1")]))
    assert made["urls"][0] == f"https://{scene.short}-{scene.rig.number}.{scene.rig.region}.run.app"
    assert made["uri"] == made["urls"][1]
    for host in (*made["urls"], *(each.replace("https://", "https://r1---") for each in made["urls"])):
        assert scene.rig.ask(f"{host}/health").status == 200, host
    assert scene.rig.ask(made["uri"].replace("https://", "https://r2---")).status == 404


def test_http1_limit(scene: Scene) -> None:
    """The container's protocol decides, whether the length is said or not; the caller speaks HTTP/1.1 both times."""
    large = b"x" * (33 * _MIB)

    def statuses() -> tuple[int, int, int]:
        ask = scene.rig.ask
        small = ask(scene.url("up"), "PUT", body=b"x" * _MIB).status
        chunks = ask(scene.url("up"), "PUT", body=iter([large[:_MIB]] * 33), chunked=True).status
        return small, ask(scene.url("up"), "PUT", body=large).status, chunks

    scene.create(scene.body())
    assert statuses() == (200, 413, 413)
    scene.patch(scene.body(scene.template(http2=True)))
    assert statuses() == (200, 200, 200)


def test_no_revision_in_the_first_traffic(scene: Scene) -> None:
    """The service is there then, and serves nobody."""
    name = f"{scene.short}-r1"
    body = scene.body(scene.template(revision=name), traffic=[scene.to(f"{scene.short}-r0")])
    assert refused(lambda: scene.create(body)).status == "5"
    assert scene.get()["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert scene.rig.ask(scene.url("health")).status == 404


def test_a_name_is_used_once(scene: Scene) -> None:
    """A name says which template a revision has."""
    name = f"{scene.short}-r1"
    scene.create(scene.body({**scene.env(A="1"), "revision": name}))
    scene.patch(scene.body({**scene.env(A="1"), "revision": name}))
    assert len(scene.rig.call("GET", f"{scene.path}/revisions")["revisions"]) == 1
    failed = refused(lambda: scene.patch(scene.body({**scene.env(A="2"), "revision": name})))
    assert (failed.code, name in failed.message) == (409, True)
    assert served_by(scene) == name


def test_wrong_etag(scene: Scene) -> None:
    """Two that change it at a time: the second is told."""
    etag = scene.create(scene.body())["etag"]
    scene.patch({"template": scene.template(), "scaling": {"minInstanceCount": 1}, "etag": etag}, updateMask="scaling")
    late = {"template": scene.template(), "scaling": {"minInstanceCount": 2}, "etag": etag}
    assert refused(lambda: scene.patch(late, updateMask="scaling")).code == 409
    assert scene.get()["scaling"]["minInstanceCount"] == 1
    assert refused(lambda: scene.rig.call("DELETE", scene.path, etag=etag)).code == 409


def test_unready_serves_nobody(scene: Scene) -> None:
    """Users do not notice the failed deployment, whatever the traffic says of the latest."""
    scene.create(scene.body())
    before = served_by(scene)
    failed = refused(lambda: scene.patch(scene.body(scene.template(scene.image("crash")))))
    assert failed.status == "9"
    assert "is not ready and cannot serve traffic" in failed.message
    found = scene.get()
    assert found["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert found["latestCreatedRevision"] != found["latestReadyRevision"]
    assert served_by(scene) == before


def test_a_split_stays(scene: Scene) -> None:
    """The commonest surprise after a rollback."""
    scene.create(scene.body(scene.env(A="1")))
    old = served_by(scene)
    scene.patch({"template": scene.env(A="1"), "traffic": [scene.to(old)]}, updateMask="traffic")
    scene.patch({"template": scene.env(A="2")}, updateMask="template")
    assert served_by(scene) == old
    scene.patch({"template": scene.env(A="2"), "traffic": [scene.latest()]}, updateMask="traffic")
    assert served_by(scene) != old


def test_a_tag_needs_no_traffic(scene: Scene) -> None:
    """How a candidate is verified before users meet it; without its tag it has no URL."""
    scene.create(scene.body(scene.env(A="1")))
    old = served_by(scene)
    traffic = [scene.to(old), scene.latest(0, tag="next")]
    scene.patch(scene.body(scene.env(A="2"), traffic=traffic))
    assert served_by(scene) == old
    assert served_by(scene, tag="next") != old
    scene.patch({"template": scene.env(A="2"), "traffic": [scene.to(old)]}, updateMask="traffic")
    assert scene.rig.ask(scene.url("health", tag="next")).status == 404


def test_traffic_by_share(scene: Scene) -> None:
    """Each of 200 requests is drawn: fewer than 20 of one half would be one in 10^30."""
    scene.create(scene.body(scene.env(A="1")))
    old = served_by(scene)
    scene.patch(scene.body(scene.env(A="2"), traffic=[scene.to(old, 50), scene.latest(50)]))
    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(lambda _: served_by(scene), range(200)))
    assert len(found) == 2
    assert min(found.values()) > 20
    wrong = [scene.to(old, 50), scene.latest(40)]
    assert refused(lambda: scene.patch(scene.body(traffic=wrong))).code == 400


def test_scale_to_zero(containers: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Idle instances go, and the next caller waits for a cold start; a minimum keeps them."""
    with GcpRig(tmp_path_factory.mktemp("gcp"), Clock(interval=0.01, patience=0.05)) as gcp:
        scene = Scene(gcp)
        scene.create(scene.body())
        soon(lambda: not of(scene), "no instance")
        assert scene.rig.ask(scene.url("health")).status == 200
        (cold,) = of(scene)
        soon(lambda: cold.ended, "the end of what was started for one request")
        scene.patch({"template": scene.template(), "scaling": {"minInstanceCount": 1}}, updateMask="scaling")
        soon(lambda: of(scene), "a warm instance")
        (kept,) = of(scene)
        soon(lambda: kept.ended or time.monotonic() - kept.idle_since > 3 * gcp.clock.every(IDLE_S), "three idle times")
        assert not kept.ended


def test_minimum_of_the_service(scene: Scene) -> None:
    """Set without a new revision, and a tagged revision without traffic has no part in it."""
    scene.create(scene.body(scene.env(A="1")))
    old = served_by(scene)
    scene.patch(scene.body(scene.env(A="2"), traffic=[scene.to(old), scene.latest(0, tag="next")]))
    new = served_by(scene, tag="next")
    for each in of(scene):
        each.end()
    change = {"template": scene.template(), "scaling": {"minInstanceCount": 2, "maxInstanceCount": 3}}
    scene.patch(change, updateMask="scaling")
    soon(lambda: len([each for each in of(scene, old) if each.ready]) == 2, "two warm instances")
    assert of(scene, new) == []
    assert len(scene.rig.call("GET", f"{scene.path}/revisions")["revisions"]) == 2


def test_minimum_of_a_revision(scene: Scene) -> None:
    """What bills for ever: a candidate with a minimum of its own that keeps its tag."""
    scene.create(scene.body(scene.env(A="1")))
    old = served_by(scene)
    costly = {**scene.env(A="2"), "scaling": {"minInstanceCount": 1, "maxInstanceCount": 2}}
    scene.patch(scene.body(costly, traffic=[scene.to(old), scene.latest(0, tag="next")]))
    new = served_by(scene, tag="next")
    of(scene, new)[0].end()
    soon(lambda: [each for each in of(scene, new) if each.ready], "another instance of a revision without traffic")
    scene.patch({"template": costly, "traffic": [scene.to(old)]}, updateMask="traffic")
    for each in of(scene, new):
        each.end()
    soon(lambda: len(of(scene, old)) == 1, "the other's instance")
    assert of(scene, new) == []


def test_scaling_is_always_shown(scene: Scene) -> None:
    """A program that says nothing sees a difference for ever."""
    body = scene.body()
    del body["scaling"]
    scene.create(body)
    assert scene.get()["scaling"] == {"minInstanceCount": 0}


def test_manual_scaling(scene: Scene) -> None:
    """How all writers are stopped for a migration, with no new revision and at the same URL afterwards."""
    scene.create(scene.body())
    old = served_by(scene)

    def scale(**scaling: Any) -> None:
        scene.patch({"template": scene.template(), "scaling": scaling}, updateMask="scaling")

    scale(scalingMode="MANUAL", manualInstanceCount=0, maxInstanceCount=3)
    assert of(scene) == []
    assert scene.rig.ask(scene.url("health")).status in {429, 503}
    assert of(scene) == []
    scale(scalingMode="AUTOMATIC", minInstanceCount=1, maxInstanceCount=3)
    assert scene.rig.ask(scene.url("health")).status == 200
    assert len(scene.rig.call("GET", f"{scene.path}/revisions")["revisions"]) == 1
    traffic = [scene.to(old), scene.latest(0, tag="next")]
    scene.patch({"template": scene.env(A="2"), "traffic": traffic}, updateMask="template,traffic")
    scale(scalingMode="MANUAL", manualInstanceCount=0, maxInstanceCount=3)
    assert scene.rig.ask(scene.url("health")).status in {429, 503}
    assert served_by(scene, tag="next") != old
    assert of(scene, old) == []


def test_no_instance_left(scene: Scene) -> None:
    """One request at a time, one instance: the second waits as long as the page says, and is told."""
    template = scene.template(maxInstanceRequestConcurrency=1, scaling={"maxInstanceCount": 1})
    scene.create(scene.body(template))
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(scene.rig.ask, scene.url("slow?s=14"))
        soon(lambda: of(scene)[0].outstanding == 1, "the first request")
        assert scene.rig.ask(scene.url("health")).status == 429
        assert long.result().status == 200
    assert scene.rig.ask(scene.url("health")).status == 200


def test_request_timeout(scene: Scene) -> None:
    """The caller is told, and the next one is answered by the same instance."""
    body = scene.body(scene.template(timeout="1s"))
    scene.create({**body, "scaling": {"minInstanceCount": 1, "maxInstanceCount": 1}})
    before = of(scene)
    assert scene.rig.ask(scene.url("slow?s=3")).status == 504
    assert scene.rig.ask(scene.url("health")).status == 200
    assert of(scene) == before


def locked(scene: Scene) -> str:
    """Make the service for SOMEBODY alone, and return its URL."""
    body: dict[str, Any] = scene.body()
    del body["invokerIamDisabled"]
    url = str(scene.create(body)["urls"][0])
    binding = {"role": "roles/run.invoker", "members": [f"user:{SOMEBODY}"]}
    scene.rig.call("POST", f"{scene.path}:setIamPolicy", {"policy": {"bindings": [binding]}})
    return url


def test_identity_tokens(scene: Scene) -> None:
    """Each thing that is wrong alone, and a control."""
    url = locked(scene)
    identity = scene.rig.tokens.identity

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return int(scene.rig.ask(f"{url}/health", headers=headers).status)

    assert {
        "right": status(identity(SOMEBODY, url)),
        "the other URL": status(identity(SOMEBODY, scene.get()["uri"])),
        "none": status(""),
        "audience": status(identity(SOMEBODY, "https://other.example")),
        "expired": status(identity(SOMEBODY, url, lifetime_s=-1)),
        "signature": status(identity(SOMEBODY, url)[:-4] + "AAAA"),
        "access token": status(scene.rig.tokens.access(SOMEBODY)),
        "no invoker": status(identity("nobody@example.com", url)),
    } == {
        "right": 200, "the other URL": 200, "none": 403, "audience": 401, "expired": 401, "signature": 401,
        "access token": 401, "no invoker": 403,
    }  # fmt: skip


def test_second_header(scene: Scene) -> None:
    """Google's check reads one header and the server another, so that both go together."""
    url = locked(scene)
    headers = {"X-Serverless-Authorization": f"Bearer {scene.rig.tokens.identity(SOMEBODY, url)}"}
    seen = json.loads(scene.rig.ask(f"{url}/headers", headers={**headers, "Authorization": "Basic eDp5"}).data)
    assert seen["Authorization"] == "Basic eDp5"
    wrong = {"X-Serverless-Authorization": "Bearer x"}
    token = scene.rig.tokens.identity(SOMEBODY, url)
    assert scene.rig.ask(f"{url}/headers", headers={**wrong, "Authorization": f"Bearer {token}"}).status == 401


def test_signature_removed(scene: Scene) -> None:
    """Nobody can use the token of a caller again."""
    url = locked(scene)
    token = scene.rig.tokens.identity(SOMEBODY, url)
    seen = json.loads(scene.rig.ask(f"{url}/headers", headers={"Authorization": f"Bearer {token}"}).data)
    assert seen["Authorization"].startswith(f"Bearer {token.rpartition('.')[0]}.")
    assert token not in seen["Authorization"]


def test_iap(scene: Scene) -> None:
    """What an account signs for this host, IAP's users, and IAP itself as the invoker."""
    body = {**scene.body(), "iapEnabled": True, "invokerIamDisabled": False}
    url = scene.create(body)["urls"][0]
    resource = scene.rig.services.kept[scene.resource].iap
    signed, google = scene.rig.tokens.of_itself, scene.rig.tokens.identity
    right = signed(SOMEBODY, f"{url}/*")

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return int(scene.rig.ask(f"{url}/health", headers=headers).status)

    def allow(path: str, role: str, member: str, api: str) -> None:
        policy = {"policy": {"bindings": [{"role": role, "members": [member]}]}}
        scene.rig.call("POST", f"{path}:setIamPolicy", policy, api=api)

    assert status(right) == 403
    allow(f"v1/{resource}", "roles/iap.httpsResourceAccessor", f"serviceAccount:{SOMEBODY}", "iap.v1")
    assert status(right) == 403, "IAP is no invoker yet"
    agent = f"serviceAccount:service-{scene.rig.number}@gcp-sa-iap.iam.gserviceaccount.com"
    allow(scene.path, "roles/run.invoker", agent, "run.v2")
    found = {
        "right": status(right),
        "for this path": status(signed(SOMEBODY, f"{url}/health")),
        "none": status(""),
        "for no host": status(signed(SOMEBODY, url)),
        "for another host": status(signed(SOMEBODY, "https://other.example/*")),
        "for a day": status(signed(SOMEBODY, f"{url}/*", lifetime_s=86400)),
        "expired": status(signed(SOMEBODY, f"{url}/*", lifetime_s=-1)),
        "Google's": status(google(SOMEBODY, f"{url}/*")),
        "of nobody who may": status(signed("other@example.com", f"{url}/*")),
    }
    assert found == {
        "right": 200, "for this path": 200, "none": 401, "for no host": 401, "for another host": 401, "for a day": 401,
        "expired": 401, "Google's": 401, "of nobody who may": 403,
    }  # fmt: skip


def secret(scene: Scene, value: str) -> str:
    """Make a secret of the scene's with one version, and return its name."""
    name, root = f"{scene.short}-secret", f"v1/projects/{scene.rig.project}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    scene.rig.call("POST", root, body, api="secretmanager.v1", secretId=name)
    data = {"payload": {"data": value}}
    scene.rig.call("POST", f"{root}/{name}:addVersion", data, api="secretmanager.v1")
    return name


def test_secret_denied(scene: Scene) -> None:
    """Granted, the same template starts, and the container has the value."""
    name = secret(scene, "czNjcmV0")
    template = scene.template()
    source = {"secretKeyRef": {"secret": name, "version": "1"}}
    template["containers"][0]["env"] = [{"name": "PASSWORD", "valueSource": source}]
    failed = refused(lambda: scene.create(scene.body(template)))
    assert scene.account in failed.message
    assert "roles/secretmanager.secretAccessor" in failed.message
    binding = {"role": "roles/secretmanager.secretAccessor", "members": [f"serviceAccount:{scene.account}"]}
    path = f"v1/projects/{scene.rig.project}/secrets/{name}:setIamPolicy"
    scene.rig.call("POST", path, {"policy": {"bindings": [binding]}}, api="secretmanager.v1")
    scene.patch(scene.body(template), forceNewRevision="true")
    assert json.loads(scene.rig.ask(scene.url("env")).data)["PASSWORD"] == "s3cret"


@pytest.mark.parametrize("index", [True, False])
def test_architecture(scene: Scene, *, index: bool) -> None:
    """Neither serves; that there is an index says it in other words."""
    image = scene.image(platforms=["linux/arm64"], index=index)
    failed = refused(lambda: scene.create(scene.body(scene.template(image))))
    assert ("must support amd64/linux" in failed.message) is index
    said = [each.get("textPayload", "") for each in scene.rig.logs.entries if scene.owns(each)]
    assert any("exec format error" in line for line in said) is not index


def probed(scene: Scene, kind: str, behaviour: str, path: str) -> dict[str, Any]:
    """Return a template of a server that starts and fails this probe from then on."""
    template = scene.template(scene.image(behaviour))
    (server,) = template["containers"]
    server["startupProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 10, "failureThreshold": 24}
    server[kind] = {"httpGet": {"path": path}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 2}
    return template


def test_liveness(scene: Scene) -> None:
    """The minimum brings another instance for the one that was ended."""
    body = scene.body(probed(scene, "livenessProbe", "sick", "/health"))
    scene.create({**body, "scaling": {"minInstanceCount": 1, "maxInstanceCount": 2}})

    def said(words: str) -> int:
        return sum(words in each.get("textPayload", "") for each in scene.rig.logs.entries if scene.owns(each))

    soon(lambda: said("serving on") > 1, "another instance")
    assert said("its liveness probe failed")


def test_readiness(scene: Scene) -> None:
    """It runs on, and nobody is sent to it."""
    template = probed(scene, "readinessProbe", "unready", "/health/ready")
    # The minimum keeps it: one that is idle would go, and another one be started for the request that waits.
    scene.create({**scene.body(template), "scaling": {"minInstanceCount": 1, "maxInstanceCount": 1}})
    (only,) = of(scene)
    soon(lambda: not only.ready, "the failed probe")
    assert scene.rig.ask(scene.url("health")).status == 429
    assert (only.ended, of(scene)) == (False, [only])


def test_sigterm(scene: Scene) -> None:
    """Who ends at the signal is not killed, and who does not is."""
    template = scene.template()
    script = "trap 'echo asked; exit 0' TERM; mlflow server --host $ANY --port 8080 & wait"
    template["containers"][0] |= {"command": ["sh"], "args": ["-c", script]}
    template["containers"][0]["env"] = [{"name": "ANY", "value": "0.0.0.0"}]  # noqa: S104 - the container's
    scene.create(scene.body(template))
    (only,) = of(scene)
    only.end()
    assert only.containers["server"].exit_code == 0
    assert "asked" in [each.get("textPayload") for each in scene.rig.logs.entries if scene.owns(each)]


def test_a_deleted_service_starts_nothing(scene: Scene) -> None:
    """Its minimum is in force no more while its last instance takes a second to end: nobody would end another one."""
    template = scene.template()
    script = "trap 'sleep 1; exit 0' TERM; mlflow server --host $ANY --port 8080 & wait"
    template["containers"][0] |= {"command": ["sh"], "args": ["-c", script]}
    template["containers"][0]["env"] = [{"name": "ANY", "value": "0.0.0.0"}]  # noqa: S104 - the container's
    scene.create({**scene.body(template), "scaling": {"minInstanceCount": 1, "maxInstanceCount": 2}})
    (revision,) = scene.rig.services.kept[scene.resource].revisions.values()
    scene.delete()
    assert (len(revision.starts), revision.starting, revision.begun) == (1, 0, [])


def test_old_revisions_go(scene: Scene) -> None:
    """A tag keeps what would be deleted otherwise."""
    scene.rig.services.most_revisions, before = 3, scene.rig.services.most_revisions
    try:
        scene.create(scene.body(scene.env(A="0")))
        kept = served_by(scene)
        for number in range(1, 5):
            traffic = [scene.latest(), scene.to(kept, 0, tag="kept")]
            scene.patch(scene.body(scene.env(A=str(number)), traffic=traffic))
    finally:
        scene.rig.services.most_revisions = before
    found = [each["name"].rpartition("/")[2] for each in scene.rig.call("GET", f"{scene.path}/revisions")["revisions"]]
    assert len(found) == 3
    assert kept in found


def test_metadata(scene: Scene) -> None:
    """Its token is the revision's account's, and opens nothing that this may not do."""
    scene.create(scene.body())
    host = json.loads(scene.rig.ask(scene.url("env")).data)["GCE_METADATA_HOST"]
    found = scene.rig.metadata_of(host)
    assert found["email"] == scene.account
    assert scene.rig.tokens.caller(f"Bearer {found['access_token']}") == scene.account
    assert scene.rig.tokens.claims(found["identity"])["aud"] == "https://somewhere"
    assert found["without the header"] == 403
    assert refused(lambda: scene.rig.call("GET", scene.path, who=scene.account)).code == 403


def test_jobs(scene: Scene) -> None:
    """Exit code, overrides and output; what fails is not tried again if the job says so."""
    job = f"{scene.parent}/jobs/{scene.short}"
    container = {"name": "tool", "image": scene.image(), "command": ["sh"], "args": ["-c", "exit 3"]}
    template = {"containers": [container], "maxRetries": 0, "serviceAccount": scene.account, "timeout": "60s"}
    body = {"template": {"template": template}}
    scene.done(scene.rig.call("POST", f"{scene.parent}/jobs", body, jobId=scene.short))
    failed = refused(lambda: scene.done(scene.rig.call("POST", f"{job}:run", {})))
    assert "exit(3)" in failed.message
    override = {"args": ["-c", 'echo "said $WHO"'], "env": [{"name": "WHO", "value": "me"}]}
    done = scene.done(scene.rig.call("POST", f"{job}:run", {"overrides": {"containerOverrides": [override]}}))
    assert (done["succeededCount"], done["conditions"][0]["state"]) == (1, "CONDITION_SUCCEEDED")
    (first,) = [each for each in scene.rig.jobs.executions if not done["name"].endswith(each.rpartition("/")[2])]
    (task,) = scene.rig.call("GET", f"v2/{first}/tasks")["tasks"]
    assert task["lastAttemptResult"]["exitCode"] == 3
    short = done["name"].rpartition("/")[2]
    text = f'resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="{short}"'
    asked = {"resourceNames": [f"projects/{scene.rig.project}"], "filter": text}
    entries = scene.rig.call("POST", "v2/entries:list", asked, api="logging.v2")["entries"]
    assert [each["textPayload"] for each in entries] == ["said me"]
    assert len(scene.rig.call("GET", f"{job}/executions")["executions"]) == 2
    scene.rig.call("DELETE", job)


def test_structured_logs(scene: Scene) -> None:
    """What reads texts alone misses each line of a server that writes JSON."""
    job = f"{scene.parent}/jobs/{scene.short}"
    script = """echo 1; echo '{"who": "me"}'"""
    container = {"name": "tool", "image": scene.image(), "command": ["sh"], "args": ["-c", script]}
    body = {"template": {"template": {"containers": [container], "maxRetries": 0, "serviceAccount": scene.account}}}
    scene.done(scene.rig.call("POST", f"{scene.parent}/jobs", body, jobId=scene.short))
    scene.done(scene.rig.call("POST", f"{job}:run", {}))
    asked = {
        "resourceNames": [f"projects/{scene.rig.project}"],
        "filter": f'resource.type="cloud_run_job" AND resource.labels.job_name="{scene.short}"',
    }
    entries = scene.rig.call("POST", "v2/entries:list", asked, api="logging.v2")["entries"]
    payloads = [{key: each[key] for key in each if key.endswith("Payload")} for each in entries]
    assert payloads == [{"textPayload": "1"}, {"jsonPayload": {"who": "me"}}]
    scene.rig.call("DELETE", job)


def test_unknown_is_refused(scene: Scene) -> None:
    """By the document, and what the rig itself does not do yet is no success either."""
    rig = scene.rig
    assert refused(lambda: scene.create({**scene.body(), "minInstances": 1})).code == 400
    assert refused(lambda: scene.create({**scene.body(), "uri": "https://x"})).code == 400
    assert refused(lambda: rig.call("POST", f"{scene.parent}/jobs", {"tasks": 1}, jobId="j")).code == 400
    assert refused(lambda: rig.call("GET", f"{scene.parent}/services", pageCount="1")).code == 400
    assert refused(lambda: rig.call("GET", f"{scene.parent}/servants")).code == 404
    assert refused(lambda: rig.call("GET", f"{scene.parent}/workerPools")).code == 501
    assert refused(lambda: rig.call("GET", f"{scene.parent}/services/{scene.short}")).code == 404


def test_peering(gcp: GcpRig) -> None:
    """What blocks a `destroy` and is named nowhere in the program."""
    root, network = f"compute/v1/projects/{PROJECT}/global", f"projects/{PROJECT}/global/networks/held"
    gcp.call("POST", f"{root}/networks", {"name": "held", "autoCreateSubnetworks": False}, api="compute.v1")
    service = "v1/services/servicenetworking.googleapis.com/connections"
    gcp.call("POST", service, {"network": network}, api="servicenetworking.v1")
    assert gcp.networks.join(network)

    def disconnected() -> dict[str, Any]:
        path = f"{service}/servicenetworking-googleapis-com"
        begun = gcp.call("POST", path, {"consumerNetwork": network}, api="servicenetworking.v1")

        def ended() -> dict[str, Any] | None:
            found = gcp.call("GET", f"v1/{begun['name']}", api="servicenetworking.v1")
            return found if found["done"] else None

        return until(ended, what="the operation", deadline_s=_SOON_S) or {}

    assert disconnected()["error"]["code"] == 9
    assert refused(lambda: gcp.call("DELETE", f"{root}/networks/held", api="compute.v1")).code == 400
    name = {"name": "servicenetworking-googleapis-com"}
    gcp.call("POST", f"{root}/networks/held/removePeering", name, api="compute.v1")
    gcp.call("DELETE", f"{root}/networks/held", api="compute.v1")


def test_policy_etag(scene: Scene) -> None:
    """Read, change, write: the second writer has to read again."""
    scene.create(scene.body())
    before = scene.rig.call("GET", f"{scene.path}:getIamPolicy")
    policy = {**before, "bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    scene.rig.call("POST", f"{scene.path}:setIamPolicy", {"policy": policy})
    assert refused(lambda: scene.rig.call("POST", f"{scene.path}:setIamPolicy", {"policy": policy})).code == 409


def test_scheduler_calls_as_an_account(scene: Scene) -> None:
    """Without the role it is denied, which the scheduler's job says; arguments of somebody's own need more."""
    rig, name = scene.rig, f"{scene.short}-job"
    container = {"name": "tool", "image": scene.image(), "command": ["true"]}
    task = {"serviceAccount": scene.account, "containers": [container], "maxRetries": 0, "timeout": "60s"}
    job = f"{scene.parent}/jobs/{name}"
    scene.done(rig.call("POST", f"{scene.parent}/jobs", {"template": {"template": task}}, jobId=name))
    target = {
        "uri": f"https://run.googleapis.com/{job}:run", "httpMethod": "POST",
        "oauthToken": {"serviceAccountEmail": scene.account},
    }  # fmt: skip
    parent = scene.parent.replace("v2/", "v1/")
    own = f"{parent.removeprefix('v1/')}/jobs/{name}"
    body = {"name": own, "schedule": "0 2 * * *", "timeZone": "Etc/UTC", "httpTarget": target}
    nobody = {**body, "httpTarget": {**target, "oauthToken": {"serviceAccountEmail": "nobody@example.com"}}}
    never = {**body, "schedule": "0 2 31 2 *"}
    for wrong, code in ((nobody, 404), (never, 400)):
        made = functools.partial(rig.call, "POST", f"{parent}/jobs", wrong, api="cloudscheduler.v1")
        assert refused(made).code == code
    rig.call("POST", f"{parent}/jobs", body, api="cloudscheduler.v1")

    def status() -> int:
        found = rig.call("POST", f"v1/{own}:run", {}, api="cloudscheduler.v1")
        return int(found["status"].get("code", 0))

    assert status() == 7
    policy = {"bindings": [{"role": "roles/run.invoker", "members": [f"serviceAccount:{scene.account}"]}]}
    rig.call("POST", f"{job}:setIamPolicy", {"policy": policy})
    assert status() == 0
    arguments = {"overrides": {"containerOverrides": [{"args": ["-x"]}]}}
    assert refused(lambda: rig.call("POST", f"{job}:run", arguments, who=scene.account)).code == 403
    rig.call("DELETE", f"v1/{own}", api="cloudscheduler.v1")
    until(lambda: rig.live == [], what="the end of the task", deadline_s=_SOON_S)
    scene.done(rig.call("DELETE", job))
