"""The target `eks`: the workload of the target kubernetes on a cluster of Amazon EKS, with stores of AWS's."""
