"""Causes at the door: a refusal by MLflow or by what stands in front of it, before any work was done."""

from __future__ import annotations

from typing import Final

from mlflow_backend.verify.model import Certainty, Part, Result
from mlflow_backend.verify.rules.matching import (
    Rule,
    either,
    error_code,
    every,
    is_anonymous,
    is_from_mlflow,
    is_login,
    method,
    part,
    says,
    status,
    unless,
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        code="host-refused",
        when=says("invalid host header"),
        certainty=Certainty.KNOWN,
        cause=(
            "MLflow does not accept the Host {host}: --allowed-hosts does not hold it, and setting that list "
            "replaces the default."
        ),
        next_step=("Add the host to access.hosts in the settings and deploy, or keep the front from changing Host."),
    ),
    Rule(
        code="origin-refused",
        when=says("cross-origin request blocked"),
        certainty=Certainty.KNOWN,
        cause="MLflow does not accept browsers that come from the public URL: its CORS origins do not hold it.",
        next_step="Set network.publicUrl to the URL that people use, and deploy.",
    ),
    Rule(
        code="store-key-refused",
        when=every(
            part(Part.ARTIFACTS), either(every(status(401, 403), error_code("UNAUTHENTICATED", "PERMISSION_DENIED")))
        ),
        certainty=Certainty.KNOWN,
        cause="The artifact store refuses the server's own key or role.",
        next_step=(
            "Check the server's store credentials and their rights to the bucket; a rotated key needs a new revision."
        ),
    ),
    Rule(
        code="bucket-missing",
        when=every(part(Part.ARTIFACTS), either(every(status(404), error_code("RESOURCE_DOES_NOT_EXIST")))),
        cause="The artifact store has no such bucket.",
        next_step="See that the bucket of artifacts.destination exists and is named as the server has it; then deploy.",
    ),
    Rule(
        code="login-page",
        when=is_login,
        certainty=Certainty.KNOWN,
        cause=(
            "A login page for people answers: an identity proxy stands in front and was given no credential that it "
            "takes."
        ),
        next_step="Name a credential for machines (bearer or identity token), or let the proxy accept the present one.",
        result=Result.INCONCLUSIVE,
    ),
    Rule(
        code="credentials-missing",
        when=every(status(401), is_anonymous),
        certainty=Certainty.KNOWN,
        cause="The server asks for credentials and none were named for the verification.",
        next_step=(
            "Name them by reference: username and password, token, identityToken or apiKey, each file:PATH or env:NAME."
        ),
        result=Result.INCONCLUSIVE,
    ),
    Rule(
        code="credentials-rejected",
        when=status(401),
        cause=(
            "The credentials were sent and rejected: they are wrong or were rotated, or something in front strips "
            "the header."
        ),
        next_step=(
            "Try them by hand with curl -u; if they work past the front and not through it, let it pass "
            "Authorization on."
        ),
    ),
    Rule(
        code="permission-denied",
        when=every(status(403), error_code("PERMISSION_DENIED")),
        certainty=Certainty.KNOWN,
        cause="The credentials are accepted, but their user may not do this.",
        next_step="Give the verifier's user the right to make experiments, or name another user.",
    ),
    Rule(
        code="method-forbidden",
        when=every(status(403), method("DELETE", "PATCH", "HEAD"), unless(is_from_mlflow)),
        cause="Requests of other methods pass: something in front forbids this method.",
        next_step="Let GET, HEAD, POST, PUT, PATCH and DELETE pass.",
    ),
    Rule(
        code="forbidden",
        when=status(403),
        cause=(
            "Something in front of MLflow refuses the request (a firewall's rule, an access policy): MLflow words "
            "its own refusals otherwise."
        ),
        next_step="Look into the log of what stands in front for {what}.",
    ),
    Rule(
        code="body-limit",
        when=status(413),
        cause=(
            "A limit on the size of request bodies refuses it: one in front, or the server's own "
            "(server.maxRequestMib, server.maxArtifactMib)."
        ),
        next_step="Raise the limit (nginx: client_max_body_size) to the size of the largest artifact.",
    ),
    Rule(
        code="rate-limit",
        when=status(429),
        certainty=Certainty.KNOWN,
        cause="A rate limit refuses the verifier, and so may it the users.",
        next_step="Raise the limit, or exempt this client.",
    ),
    Rule(
        code="method-blocked",
        when=status(405, 501),
        cause=(
            "The method is not allowed through: something in front filters methods, or what answers is another service."
        ),
        next_step="Let GET, HEAD, POST, PUT, PATCH and DELETE pass.",
    ),
    Rule(
        code="header-stripped",
        when=says("content-type (header is missing|must be)"),
        cause="Something in front strips or changes the header Content-Type.",
        next_step="Let it pass headers on unchanged.",
    ),
)
