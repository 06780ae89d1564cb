"""Documents of Kubernetes, rendered from a stack's settings. Pure: no pulumi, no I/O, no clock."""
