"""HTTP: access control, limits, keys, errors; without cluster and model."""
