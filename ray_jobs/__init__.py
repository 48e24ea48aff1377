"""The stages on a cluster: thin layers over copylens, each `python -m ray_jobs.<stage>`."""
