"""What is looked at before anything is changed: the image, the account, the secrets and the certificate.

`findings` is what a check says, `reference`, `registry` and `ecr` how an image is read without pulling it, `image` and
`account` the checks, `resource` what the dynamic resource does. Nothing here imports pulumi but `provider` and
`resource`.
"""
