"""The deployments: batching, following the alias, generations."""
