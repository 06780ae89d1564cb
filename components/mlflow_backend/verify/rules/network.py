"""Causes in the connection itself: nothing came back, or not all of it."""

from __future__ import annotations

from typing import Final

from mlflow_backend.verify.model import Certainty, Part, Trouble
from mlflow_backend.verify.rules.matching import (
    LOGS,
    Rule,
    any_of,
    every,
    is_encoded,
    is_large,
    is_refused_by_name,
    method,
    store_lists,
    trouble,
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        code="client-refused",
        when=is_refused_by_name,
        certainty=Certainty.KNOWN,
        cause=(
            "Something in front refuses MLflow's client by its User-Agent (mlflow-python-client): the same request "
            "passes under a browser's name."
        ),
        next_step="Take MLflow's clients out of the front's rules about bots (AWS WAF: its rules on HTTP libraries).",
    ),
    Rule(
        code="deadline",
        when=trouble(Trouble.DEADLINE),
        certainty=Certainty.KNOWN,
        cause="The deadline of the verification was used up before this request.",
        next_step=(
            "See which check above took the time; raise verify.deadline only if the backend is rightly that slow."
        ),
    ),
    Rule(
        code="not-listening",
        when=trouble(Trouble.REFUSED),
        certainty=Certainty.KNOWN,
        cause="Nothing listens at {host}: the server or the proxy in front of it is not running, or not yet.",
        next_step=(
            "Look at its state and its last log lines (make status, make logs); a crash at start names its reason "
            "there."
        ),
    ),
    Rule(
        code="name-unknown",
        when=trouble(Trouble.NAME_UNKNOWN),
        certainty=Certainty.KNOWN,
        cause="The name in {host} cannot be resolved from here.",
        next_step=(
            "Check the URL and the DNS record, and whether this machine is inside the network that knows the name."
        ),
    ),
    Rule(
        code="unreachable",
        when=trouble(Trouble.NO_ROUTE, Trouble.CONNECT_TIMEOUT),
        cause="No connection to {host} comes about: a firewall, a security group or a missing route drops it.",
        next_step="Check the network rules between this machine and {host}, and that the address is the current one.",
    ),
    Rule(
        code="tls-expired",
        when=trouble(Trouble.TLS_EXPIRED),
        certainty=Certainty.KNOWN,
        cause="The TLS certificate of {host} is outside its period of validity.",
        next_step=(
            "Renew the certificate; if it was renewed, see that the front serves the new one, and check this "
            "machine's clock."
        ),
    ),
    Rule(
        code="tls-self-signed",
        when=trouble(Trouble.TLS_SELF_SIGNED),
        certainty=Certainty.KNOWN,
        cause="The TLS certificate of {host} is signed by itself or by an authority that this machine does not trust.",
        next_step="Serve a certificate of a trusted authority, or name the authority's file with --ca-file.",
    ),
    Rule(
        code="tls-untrusted",
        when=trouble(Trouble.TLS_UNTRUSTED),
        certainty=Certainty.KNOWN,
        cause=(
            "The TLS certificate of {host} has no chain to a trusted authority; often an intermediate certificate is "
            "missing."
        ),
        next_step="Serve the full chain, or name the authority's file with --ca-file.",
    ),
    Rule(
        code="tls-wrong-name",
        when=trouble(Trouble.TLS_WRONG_NAME),
        certainty=Certainty.KNOWN,
        cause="The TLS certificate is made out to another name than {host}.",
        next_step="Call the server by a name in its certificate, or issue one for this name.",
    ),
    Rule(
        code="tls-broken",
        when=trouble(Trouble.TLS_BROKEN),
        cause=(
            "TLS with {host} fails before any certificate is checked ({detail}); plain HTTP on that port is the usual "
            "reason."
        ),
        next_step="Check the scheme and the port of the URL.",
    ),
    Rule(
        code="redirect-loop",
        when=trouble(Trouble.REDIRECT_LOOP),
        certainty=Certainty.KNOWN,
        cause="The front redirects in a circle; often it ends TLS and the part behind it redirects to https again.",
        next_step="Follow it with: curl -sIL http(s)://{host}, and let only one of them redirect.",
    ),
    Rule(
        code="artifacts-hang",
        when=trouble(Trouble.READ_TIMEOUT, part=Part.ARTIFACTS),
        cause="The server answers other calls, so the artifact store does not answer it, or is too slow.",
        next_step="See whether the store runs and how it answers from where the server runs. " + LOGS,
    ),
    Rule(
        code="database-hang",
        when=trouble(Trouble.READ_TIMEOUT, part=Part.DATABASE),
        cause=(
            "The server answers /health, so it waits for the database: hung, locked, overloaded or cut off without a "
            "reset."
        ),
        next_step="See whether the database answers and what it waits for (pg_stat_activity, locks).",
    ),
    Rule(
        code="server-hang",
        when=trouble(Trouble.READ_TIMEOUT),
        cause=(
            "{host} accepts connections and does not answer within {timeout}: the server is hung, overloaded or "
            "still starting."
        ),
        next_step="Look at the server's processes and their load. " + LOGS,
    ),
    Rule(
        code="large-cut",
        when=every(trouble(Trouble.CLOSED, Trouble.TRUNCATED), any_of(is_large, every(method("PUT"), store_lists))),
        cause=(
            "Smaller requests pass, and this body is cut off: a limit of size or time in front, or the server has no "
            "space in its temporary folder (TMPDIR), or no memory."
        ),
        next_step=(
            "Look at limits and timeouts of what stands in front, then at the server's temporary disk, and for an "
            "out-of-memory kill."
        ),
    ),
    Rule(
        code="method-dropped",
        when=every(trouble(Trouble.CLOSED), method("DELETE", "PATCH", "HEAD")),
        cause="Requests of other methods are answered: something in front drops this method without an answer.",
        next_step="Let GET, HEAD, POST, PUT, PATCH and DELETE pass.",
    ),
    Rule(
        code="connection-closed",
        when=trouble(Trouble.CLOSED),
        cause=(
            "The connection was closed without an answer: a worker crashed, or something in front idles out or cuts "
            "requests."
        ),
        next_step=(
            "Look for a crash or an out-of-memory kill in the server's log, then at the timeouts of what stands in "
            "front."
        ),
    ),
    Rule(
        code="truncated",
        when=trouble(Trouble.TRUNCATED),
        cause=(
            "The answer ended early: something in front cuts bodies (a buffer or a size limit), or the server died "
            "while answering."
        ),
        next_step="Ask the server directly, without the front, and compare the lengths.",
    ),
    Rule(
        code="broken-encoding",
        when=any_of(trouble(Trouble.ENCODING), is_encoded),
        certainty=Certainty.KNOWN,
        cause=(
            "The answer is compressed otherwise than its Content-Encoding says, or than was asked for: something in "
            "front compresses and loses the header, or claims what it does not do."
        ),
        next_step="Let the front compress nothing that comes from MLflow, or pass Accept- and Content-Encoding on.",
    ),
    Rule(
        code="not-http",
        when=trouble(Trouble.NOT_HTTP, Trouble.TOO_LARGE),
        certainty=Certainty.KNOWN,
        cause="What answers at {host} is not an MLflow server ({detail}).",
        next_step="Check the port and the scheme of the URL, and what listens there.",
    ),
)
