"""Causes behind the front or beside MLflow: no server, another server, no store; and what nothing else explains."""

from __future__ import annotations

from typing import Final

from mlflow_backend.verify.model import Certainty, Part
from mlflow_backend.verify.rules.matching import (
    LOGS,
    Rule,
    download_breaks,
    either,
    error_code,
    every,
    is_cut,
    is_fresh,
    is_large,
    is_page,
    is_server_error,
    part,
    says,
    status,
    store_lists,
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        code="another-database",
        when=every(is_fresh, either(every(status(404, 400), error_code("RESOURCE_DOES_NOT_EXIST")))),
        cause=(
            "What was made moments ago is unknown: the requests reach servers on different databases, or a replica "
            "lags behind."
        ),
        next_step="See that every server behind {host} runs the same revision on the same database.",
    ),
    Rule(
        code="front-timeout",
        when=status(504, 408),
        cause="The front gave up waiting for the server behind it.",
        next_step=(
            "See what the server waits for, and whether the front's timeout is shorter than the requests it must carry."
        ),
    ),
    Rule(
        code="temporary-space",
        when=every(status(503), error_code("TEMPORARILY_UNAVAILABLE"), says("temporary space")),
        certainty=Certainty.KNOWN,
        cause=(
            "The server's temporary folder (TMPDIR) has no room: it is at its budget (server.temporaryMib), its disk "
            "is full, or the folder is gone."
        ),
        next_step="Wait for large transfers to end, free the disk, or restart the server. " + LOGS,
    ),
    Rule(
        code="temporary-folder",
        when=every(part(Part.ARTIFACTS), is_server_error, store_lists, download_breaks),
        cause=(
            "The store answers a listing, and the server breaks off uploads and downloads alike before they reach it: "
            "the server's temporary folder (TMPDIR) is gone, or cannot be written."
        ),
        next_step="See that the folder exists and belongs to the server, or restart the server. " + LOGS,
    ),
    Rule(
        code="store-space",
        when=every(part(Part.ARTIFACTS), is_large, is_server_error, store_lists),
        cause=(
            "A smaller artifact passes, a large one does not: the store or the server's temporary folder (TMPDIR) has "
            "no space, or a quota."
        ),
        next_step="See what space and quota the store has left, then the server's temporary disk. " + LOGS,
    ),
    Rule(
        code="upload-failed",
        when=every(part(Part.ARTIFACTS), is_server_error, store_lists),
        cause=(
            "The store answers a listing and the upload fails: the server's temporary folder (TMPDIR) is full, or the "
            "store takes no writes (full, a quota, read-only)."
        ),
        next_step="See what space the server's temporary disk has, then the store's space, quota and rights. " + LOGS,
    ),
    Rule(
        code="no-server-behind",
        when=status(502, 503),
        cause="The front answers, but has no healthy server behind it.",
        next_step=(
            "Look at the servers behind the front: crashed, still starting, or failing the front's own health check."
        ),
    ),
    Rule(
        code="store-away",
        when=every(part(Part.ARTIFACTS), is_server_error),
        cause="The server cannot work with its artifact store: it is down, full, or unreachable from the server.",
        next_step="See that the store runs, has space, and answers from where the server runs. " + LOGS,
    ),
    Rule(
        code="path-rewritten",
        when=status(404),
        cause=(
            "There is no such route: something in front rewrites the path, the URL's prefix is wrong, or it is no "
            "MLflow server."
        ),
        next_step="Ask the server directly for {what}; make the front pass paths on as they are.",
    ),
    Rule(
        code="redirected",
        when=status(301, 302, 303, 307, 308),
        certainty=Certainty.KNOWN,
        cause="The front redirects to another address, which clients do not follow with a POST or with credentials.",
        next_step="Set network.publicUrl to where it redirects to (mind http and https).",
    ),
    Rule(
        code="something-else",
        when=every(lambda x, _s: x.ok, is_page),
        certainty=Certainty.KNOWN,
        cause="The answer is a web page and not MLflow's JSON: another service answers on this route.",
        next_step="See what the front routes {what} to.",
    ),
    Rule(
        code="answer-cut",
        when=is_cut,
        cause="Something in front cuts answers at a size (a buffer, a limit), or the server died while it answered.",
        next_step="Ask the server directly for {what}, compare the lengths, and raise the front's limit on answers.",
    ),
    Rule(
        code="garbage",
        when=lambda x, _s: x.ok,
        cause=(
            "The answer is not what MLflow gives here: another service, a truncating or caching front, or an unknown "
            "version."
        ),
        next_step="Ask the server directly for {what} and compare.",
    ),
    Rule(
        code="server-error",
        when=is_server_error,
        cause="MLflow failed inside.",
        next_step=LOGS,
    ),
    Rule(
        code="refused-request",
        when=lambda _x, _s: True,
        cause="The server refused a request that every supported MLflow version takes.",
        next_step="Compare the server's version with the versions supported; look at what stands in front.",
    ),
)
