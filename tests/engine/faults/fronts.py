"""Faults of what stands in front of the backend: proxies, balancers, TLS, access control, other servers."""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from itertools import count
from time import sleep, time
from typing import TYPE_CHECKING, Any

from mlflow_backend.verify.model import Result
from tests.engine.faults.front import Answer, Front, Request, page
from tests.engine.faults.scene import Fault, Scene, behind_front, plain_front, repeating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mlflow_backend.verify.subjects import Subject

REST = "/api/2.0/mlflow"
STORE = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 1 << 20
JSON = {"content-type": "application/json"}
TOKEN = "FAULT_TABLE_TOKEN"
RIGHT = "Bearer right"


def _row(
    mechanism: str, check: str, code: str, *, verdict: Result = Result.FAIL, deadline_s: float = 20, **hooks: Any
) -> Fault:
    play, control = behind_front(**hooks)
    return Fault(
        mechanism=mechanism, check=check, code=code, play=play, control=control, verdict=verdict, deadline_s=deadline_s
    )


def _on(wanted: str, answer: Answer) -> Callable[[Request], Request | Answer]:
    """Answer requests whose path holds a text."""
    return lambda request: answer if wanted in request.path else request


def _rewritten(request: Request) -> Request:
    return replace(request, path=request.path.replace("/api/", "/", 1))


@contextmanager
def _caching(scene: Scene) -> Iterator[Subject]:
    """A cache in front that keeps each answer to a GET."""
    kept: dict[str, Answer] = {}

    def keep(request: Request, answer: Answer) -> Answer:
        if request.method == "GET" and answer.status == 200:
            kept[request.path] = answer
        return answer

    with Front(("127.0.0.1", scene.port)) as front:
        front.before = lambda request: kept.get(request.path, request) if request.method == "GET" else request
        front.after = keep
        yield replace(scene.subject, url=front.url)


def _truncated(request: Request, answer: Answer) -> Answer:
    long = request.method == "GET" and "/static-files/" in request.path
    return replace(answer, body=answer.body[: len(answer.body) // 2], announced=len(answer.body)) if long else answer


def _shortened(request: Request, answer: Answer) -> Answer:
    artifact = request.method == "GET" and request.path.startswith(f"{STORE}/")
    return replace(answer, body=answer.body[:-1]) if artifact else answer


def _limited(most: int) -> Callable[[Request], Request | Answer]:
    return lambda request: page(413, "Request Entity Too Large") if len(request.body) > most else request


def _on_api(hook: Callable[[Request], Request | Answer]) -> Callable[[Request], Request | Answer]:
    return lambda request: hook(request) if "/api/" in request.path else request


def _robots_only(status: int) -> Callable[[Request], Request | Answer]:
    """A firewall's rule on bots: what names a library as its User-Agent is refused."""

    def before(request: Request) -> Request | Answer:
        agent = request.headers.get("user-agent", "")
        return page(status) if agent.startswith(("mlflow-python-client", "python-")) else request

    return before


def _cut(size: int) -> Callable[[Request, Answer], Answer]:
    """A front that passes on so many bytes of a JSON answer."""

    def after(_request: Request, answer: Answer) -> Answer:
        is_json = "json" in answer.headers.get("content-type", "")
        return replace(answer, body=answer.body[:size]) if is_json else answer

    return after


def _without(method: str, answer: Answer) -> Callable[[Request], Request | Answer]:
    return lambda request: answer if request.method == method else request


def _compressed(request: Request, answer: Answer) -> Answer:
    """A front that compresses JSON for whoever takes it, and loses the header that says so."""
    takes = "gzip" in request.headers.get("accept-encoding", "") and REST in request.path
    return replace(answer, body=gzip.compress(answer.body)) if takes else answer


def _pieces(request: Request, answer: Answer) -> Answer:
    """A cache that answers every range by its first block."""
    if "range" not in request.headers or not answer.body:
        return answer
    said = f"bytes 0-3999/{len(answer.body)}"
    return replace(answer, status=206, headers={**answer.headers, "content-range": said}, body=answer.body[:4000])


def _impatient(status: int) -> Callable[[Request], Request | Answer]:
    """A front that waits for an upload for a moment only."""

    def before(request: Request) -> Request | Answer:
        if len(request.body) <= 2 * MIB:
            return request
        sleep(0.2)
        return page(status, "Gateway Time-out") if status else Answer(cut=True)

    return before


def _slow(wanted: str) -> Callable[[Request], Request]:
    """Whatever answers there takes longer than one request may."""

    def before(request: Request) -> Request:
        if wanted in request.path:
            sleep(8)
        return request

    return before


def _rounded(request: Request, answer: Answer) -> Answer:
    """An API gateway that reads JSON and writes it again, with numbers cut to whole ones."""
    if "metrics/get-history" not in request.path:
        return answer
    document = json.loads(answer.body)
    for metric in document["metrics"]:
        metric["value"] = int(metric["value"])
    return replace(answer, body=json.dumps(document).encode())


def _shifted(_request: Request, answer: Answer) -> Answer:
    return replace(answer, headers={**answer.headers, "date": formatdate(time() + 1200, usegmt=True)})


def _loop(request: Request) -> Answer:
    return Answer(status=302, headers={"location": request.path})


def _garbage(request: Request) -> Request | Answer:
    return request if request.path == "/health" else Answer(headers=JSON, body=b"\x00\xffnot json")


def _own_pages(request: Request) -> Request | Answer:
    """A single-page application's front: its own page for every file that it does not know."""
    return page(200, "an application") if "/static-files/" in request.path else request


def _guarded(request: Request) -> Request | Answer:
    if request.path.startswith("/health") or request.headers.get("authorization") == RIGHT:
        return request
    return Answer(status=401, headers=JSON, body=b'{"error_code": "UNAUTHENTICATED", "message": "who are you?"}')


def _guarded_after(change: Callable[[Request], Request]) -> Callable[[Request], Request | Answer]:
    return lambda request: _guarded(change(request))


def _with_access(
    hook: Callable[[Request], Request | Answer], token: str
) -> tuple[Callable[[Scene], AbstractContextManager[Subject]], Callable[[Scene], AbstractContextManager[Subject]]]:
    """A front with access control, as it should be and with a hook instead; the verifier has a token."""

    def staged(before: Callable[[Request], Request | Answer], reference: str) -> Callable[[Scene], Any]:
        @contextmanager
        def play(scene: Scene) -> Iterator[Subject]:
            with Front(("127.0.0.1", scene.port)) as front:
                front.before = before
                credentials = {"token": reference} if reference else {}
                yield replace(scene.subject, url=front.url, access=True, credentials=credentials)

        return play

    return staged(hook, token), staged(_guarded, f"env:{TOKEN}")


def _access_row(
    mechanism: str,
    check: str,
    code: str,
    hook: Callable[[Request], Request | Answer] = _guarded,
    *,
    token: str = f"env:{TOKEN}",
    verdict: Result = Result.FAIL,
) -> Fault:
    play, control = _with_access(hook, token)
    return Fault(mechanism=mechanism, check=check, code=code, play=play, control=control, verdict=verdict)


def _tls(certificate: str, *, trust: bool = True) -> Callable[[Scene], AbstractContextManager[Subject]]:
    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        authority = str(scene.certificates / "ca.pem") if trust else None
        with Front(("127.0.0.1", scene.port), scene.certificates / f"{certificate}.pem") as front:
            yield replace(scene.subject, url=front.url, ca_file=authority)

    return play


@contextmanager
def _plain_port(scene: Scene) -> Iterator[Subject]:
    with Front(("127.0.0.1", scene.port)) as front:
        yield replace(scene.subject, url=front.url.replace("http://", "https://"))


def _tls_row(mechanism: str, code: str, play: Callable[[Scene], AbstractContextManager[Subject]]) -> Fault:
    return Fault(mechanism=mechanism, check="health", code=code, play=play, control=_tls("good"))


def _led(
    choose: Callable[[Request, int], str | None], *, others: bool
) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """A balancer that leads some requests to another server; in the control it has the right one only."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        number = count()

        def lead(request: Request) -> Request:
            other = choose(request, next(number)) if others else None
            return replace(request, upstream=scene.others[other]) if other else request

        with Front(("127.0.0.1", scene.port)) as front:
            front.before = lead
            yield replace(scene.subject, url=front.url)

    return play


def _led_row(mechanism: str, check: str, code: str, choose: Callable[[Request, int], str | None]) -> Fault:
    return Fault(
        mechanism=mechanism, check=check, code=code, play=_led(choose, others=True), control=_led(choose, others=False)
    )


FAULTS = (
    _row(
        "front changes Host", "host", "host-refused", before=lambda r: r.having("host", "mlflow.internal.example.com")
    ),
    _row(
        "front rewrites Origin",
        "origin",
        "origin-refused",
        before=lambda r: r.having("origin", "https://else.example.com"),
    ),
    _row("front strips Content-Type", "database", "header-stripped", before=lambda r: r.without("content-type")),
    _row("front rewrites the path", "host", "path-rewritten", before=_rewritten),
    Fault(
        mechanism="front caches",
        check="read-your-writes",
        code="stale-or-lost",
        play=_caching,
        control=plain_front,
    ),
    _row("front truncates", "ui", "truncated", after=_truncated),
    _row("front cuts the last byte", "artifact", "artifact-changed", after=_shortened),
    _row("front limits bodies to 1 MiB", "artifact", "body-limit", before=_limited(MIB)),
    _row("front limits bodies to 32 MiB", "artifact-large", "body-limit", before=_limited(32 * MIB)),
    _row("front limits bodies to 256 KiB", "log-batch-large", "body-limit", before=_limited(MIB // 4)),
    _row("firewall refuses libraries", "health", "client-refused", before=_robots_only(403)),
    _row("firewall refuses libraries with a page", "host", "client-refused", before=_on_api(_robots_only(503))),
    _row("front cuts JSON at 64 KiB", "run-search", "answer-cut", after=_cut(64 << 10)),
    _row("front cuts JSON at 2 KiB", "run-get", "answer-cut", after=_cut(2 << 10)),
    _row("front drops PATCH", "model-update", "method-dropped", before=_without("PATCH", Answer(cut=True))),
    _row("front drops DELETE", "artifact", "method-dropped", before=_without("DELETE", Answer(cut=True))),
    _row("front forbids PATCH", "model-update", "method-forbidden", before=_without("PATCH", page(403))),
    _row("front filters HEAD", "artifact", "method-blocked", before=_without("HEAD", page(405))),
    _row("front compresses and loses the header", "host", "broken-encoding", after=_compressed),
    _row("front answers ranges wrongly", "artifact", "wrong-range", after=_pieces),
    Fault(
        mechanism="front repeats a POST that makes a run",
        check="run-search",
        code="request-repeated",
        play=repeating("runs/create"),
        control=plain_front,
    ),
    Fault(
        mechanism="front repeats a POST that makes an experiment",
        check="experiment",
        code="request-repeated",
        play=repeating("experiments/create"),
        control=plain_front,
    ),
    Fault(
        mechanism="front repeats a POST that makes a version",
        check="model-update",
        code="request-repeated",
        play=repeating("model-versions/create"),
        control=plain_front,
    ),
    _row("front idles out with 504", "artifact-large", "front-timeout", before=_impatient(504)),
    _row("front idles out without a word", "artifact-large", "large-cut", before=_impatient(0)),
    _row("gateway rewrites JSON", "metric-history", "stale-or-lost", after=_rounded),
    _row("front shifts Date by 20 minutes", "clock", "date-shifted", after=_shifted),
    _row("front redirects in a circle", "health", "redirect-loop", before=_loop),
    _row(
        "front redirects to https",
        "health",
        "redirected",
        before=lambda r: Answer(status=301, headers={"location": f"https://127.0.0.1{r.path}"}),
    ),
    _row(
        "login page for people",
        "host",
        "login-page",
        verdict=Result.INCONCLUSIVE,
        before=lambda r: (
            r
            if r.path in {"/health", "/version", "/"} or "/static-files/" in r.path
            else Answer(status=302, headers={"location": "https://accounts.example.com/signin"})
        ),
    ),
    _row("garbage everywhere but on /health", "database", "garbage", before=_garbage),
    _row("web pages where JSON should be", "database", "something-else", before=_on(REST, page(200, "hello"))),
    _row("front serves its own page for scripts", "ui", "no-bundle", before=_own_pages),
    _row("front is another site", "health", "garbage", before=lambda _r: Answer(body=b"welcome")),
    _row(
        "front filters DELETE", "artifact", "method-blocked", before=lambda r: page(405) if r.method == "DELETE" else r
    ),
    _row("firewall forbids POST", "database", "forbidden", before=lambda r: page(403) if r.method == "POST" else r),
    _row("server slow at a search", "run-search", "database-hang", before=_slow("runs/search")),
    _row("store slow behind the server", "artifact", "artifacts-hang", before=_slow(STORE)),
    _row("rate limit", "registered-models", "rate-limit", before=_on("registered-models", page(429))),
    _row("balancer without healthy servers", "database", "no-server-behind", before=_on(REST, page(503))),
    _row(
        "worker crashes while answering", "run-search", "connection-closed", before=_on("runs/search", Answer(cut=True))
    ),
    _row(
        "broken compression",
        "registered-models",
        "broken-encoding",
        after=lambda r, a: (
            replace(a, headers={**a.headers, "content-encoding": "gzip"}) if "registered-models" in r.path else a
        ),
    ),
    _access_row(
        "Authorization stripped", "host", "credentials-rejected", _guarded_after(lambda r: r.without("authorization"))
    ),
    _access_row("wrong credentials", "host", "credentials-rejected", token=f"env:{TOKEN}_WRONG"),
    _access_row("credentials not needed", "credentials", "access-open", lambda request: request),
    _access_row(
        "artifacts open to anyone",
        "credentials",
        "access-open",
        lambda request: request if request.path.startswith(STORE) else _guarded(request),
    ),
    _access_row("no credentials named", "host", "credentials-missing", token="", verdict=Result.INCONCLUSIVE),
    _access_row(
        "credential missing",
        "credentials",
        "credentials-unreadable",
        token=f"env:{TOKEN}_NONE",
        verdict=Result.INCONCLUSIVE,
    ),
    _tls_row("certificate expired", "tls-expired", _tls("expired")),
    _tls_row("certificate self-signed", "tls-self-signed", _tls("self-signed")),
    _tls_row("certificate for another name", "tls-wrong-name", _tls("wrong-name")),
    _tls_row("certificate of an unknown authority", "tls-untrusted", _tls("good", trust=False)),
    _tls_row("plain HTTP on the TLS port", "tls-broken", _plain_port),
    _led_row("orphan of an older version answers", "version", "wrong-version", lambda _r, _n: "2.9.2"),
    _led_row(
        "reads go to another database",
        "run-get",
        "another-database",
        lambda r, _n: "3.17.2" if r.method == "GET" and "runs/get" in r.path else None,
    ),
    _led_row(
        "two databases behind one balancer",
        "read-your-writes",
        "another-database",
        lambda r, n: (
            "3.17.2" if "runs/" in r.path and "create" not in r.path and "log" not in r.path and n % 2 else None
        ),
    ),
)
