"""Preflight: the look at image, account, secrets and certificate before anything is changed.

`findings` is what a check says, `reference`, `registry` and `ecr` how an image is read without pulling it, `image` and
`account` the checks, `resource` what the dynamic resource does. Nothing here imports pulumi but `provider` and
`resource`.
"""
