"""Verification alone, of an MLflow that somebody else deploys: each `pulumi up` is red if it does not work."""

import pulumi

from mlflow_backend import Verification, VerificationArgs

config = pulumi.Config()
verification = Verification("mlflow", VerificationArgs(url=config.require("trackingUrl")))
pulumi.export("verdict", verification.verdict)
