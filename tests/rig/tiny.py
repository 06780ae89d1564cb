"""A server that starts at once, instead of MLflow where MLflow is not the point.

Installed as `mlflow` in an image of its own: it takes the host and port of `mlflow server`, and its image's variable
RIG_BEHAVIOUR says what is wrong with it: '' (nothing), crash, greedy (takes all memory), sick, unready. Needs the
standard library; /list and /whoami ask AWS by boto3, where the image has it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BEHAVIOUR = os.environ.get("RIG_BEHAVIOUR", "")


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        route = self.path.partition("?")[0].strip("/").replace("/", "_") or "root"
        status, body = getattr(self, f"_{route}", self._root)()
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self) -> None:
        """Answer with the size of what was sent."""
        size = 0
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while length := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        content = json.dumps(size).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _root(self) -> tuple[int, Any]:
        return 404, "no such route"

    def _health(self) -> tuple[int, Any]:
        return (500, "sick") if BEHAVIOUR == "sick" else (200, "OK")

    def _health_ready(self) -> tuple[int, Any]:
        return (503, "unready") if BEHAVIOUR in {"sick", "unready"} else (200, "ready")

    def _version(self) -> tuple[int, Any]:
        return 200, os.environ.get("RIG_VERSION", "")

    def _env(self) -> tuple[int, Any]:
        return 200, dict(os.environ)

    def _headers(self) -> tuple[int, Any]:
        return 200, dict(self.headers)

    def _slow(self) -> tuple[int, Any]:
        time.sleep(float(self.path.partition("=")[2] or 0.3))
        return 200, "slow"

    def _list(self) -> tuple[int, Any]:
        import boto3  # noqa: PLC0415 - only if it is asked
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            found = boto3.client("s3").list_objects_v2(Bucket=os.environ["BUCKET"], Prefix=os.environ.get("PREFIX", ""))
        except ClientError as error:
            return 500, error.response["Error"]["Code"]
        return 200, [each["Key"] for each in found.get("Contents", [])]

    def _whoami(self) -> tuple[int, Any]:
        import boto3  # noqa: PLC0415

        credentials = boto3.session.Session().get_credentials()
        return 200, [credentials.method if credentials else None, boto3.client("sts").get_caller_identity()["Arn"]]

    def log_message(self, form: str, *rest: Any) -> None:
        """One line a request, as servers do."""
        print(form % rest, flush=True)


def main() -> None:
    """Serve until told to stop."""
    if BEHAVIOUR == "crash":
        print("boom: cannot start", flush=True)
        sys.exit(1)
    if BEHAVIOUR == "greedy":
        held = []
        while True:
            held.append(os.urandom(1 << 24))
    words = sys.argv
    host, port = words[words.index("--host") + 1], int(words[words.index("--port") + 1])
    print(f"serving on {host}:{port}", flush=True)
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
