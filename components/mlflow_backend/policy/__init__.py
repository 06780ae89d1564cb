"""The policy pack that previews and updates must pass.

`catalogue` lists the policies. `stores`, `network` and `workloads` hold each beside its rule; `iam`, `containers`
hold the questions to an IAM document and a container. `pack` hands the policies to the engine, `rendered` judges what
mlflow_backend/ecs/render makes of the settings. docs/policies.md is generated from the catalogue.
"""
