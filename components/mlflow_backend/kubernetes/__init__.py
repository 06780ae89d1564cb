"""The target `kubernetes`: a backend in a namespace of any conformant cluster, and the blocks that it is made of."""
