"""Pure: what the `ecs` target's resources are. No pulumi, no boto3, no clock; one module a concern.

What AWS only knows once it has made it (a key's ARN, a secret's suffix, an endpoint) is an argument here, as plain
text: `backend` waits for it and calls.
"""
