"""Sessions, actor pools, job paths and submission: what every stage on a cluster shares."""
