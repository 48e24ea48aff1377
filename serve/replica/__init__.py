"""The Ray Serve deployments: batching, reloading, generation."""
