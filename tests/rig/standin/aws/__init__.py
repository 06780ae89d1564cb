"""The stand-in for the `aws` provider: resources of the installed pulumi_aws SDK, made by boto3."""
