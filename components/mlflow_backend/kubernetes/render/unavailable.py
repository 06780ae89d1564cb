"""The Job whose pod answers users while no server runs: 503, and after how many seconds to ask again. Pure."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.kubernetes.naming import JOB, SERVER, UNAVAILABLE
from mlflow_backend.kubernetes.render import pods, server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document

RETRY_S: Final = 10
"""MLflow's clients ask again after it, seven times by default."""
_MESSAGE: Final = "The backend is at work on its database. Ask again."
# A body that is not read would cost its sender the answer; one that goes on for longer is given up.
_PROGRAM: Final = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port, after, message = sys.argv[1:]
BODY = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": message}).encode()

class Unavailable(BaseHTTPRequestHandler):
    timeout = 10

    def answer(self):
        left, ends = int(self.headers.get("Content-Length") or 0), time.monotonic() + 30
        while left > 0 and time.monotonic() < ends and (piece := self.rfile.read1(min(left, 65536))):
            left -= len(piece)
        self.send_response(503)
        for name, value in (("Retry-After", after), ("Content-Type", "application/json"), ("Connection", "close"),
                            ("Content-Length", str(len(BODY))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(BODY)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("", int(port)), Unavailable).serve_forever()
"""
_CPU, _MEMORY_MIB = 64, 128
# Longer than a migration or a restore may take: what a killed command left must not stand beside servers for ever.
_LONGEST_S: Final = 8 * 3600
_KEPT_S: Final = 3600
_RESTARTS: Final = 10


def job(naming: Naming, pod_template: Mapping[str, Any]) -> Document:
    """Return the Job, by the pod template of a revision of the server.

    Its pod has the labels by which the Service and the network policies know a server, and the server's image and
    security, but neither its secrets nor its volumes.
    """
    spec = copy.deepcopy(dict(pod_template["spec"]))
    spec.pop("topologySpreadConstraints", None)
    (serving,) = spec["containers"]
    kept = ("image", "imagePullPolicy", "securityContext", "ports")
    command = ["python", "-c", _PROGRAM, str(server.PORT), str(RETRY_S), _MESSAGE]
    container = {key: serving[key] for key in kept if key in serving} | {
        "name": UNAVAILABLE,
        "command": [pods.literal(word) for word in command],
        "resources": pods.resources(
            cpu_request=_CPU, memory_request=_MEMORY_MIB, cpu_limit=None, memory_limit=_MEMORY_MIB
        ),
        # Its answers are all 503.
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
    }
    # Its process is deaf to the signal to end, so it answers until no proxy sends it anything.
    spec |= {"containers": [container], "volumes": [], "restartPolicy": "Never"}
    spec["terminationGracePeriodSeconds"] = server.DRAIN_S
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": naming.part(UNAVAILABLE),
            "namespace": naming.namespace,
            "labels": naming.labels(JOB),
        },
        "spec": {
            "backoffLimit": _RESTARTS,
            "activeDeadlineSeconds": _LONGEST_S,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": naming.own_labels(SERVER)}, "spec": spec},
        },
    }
