"""The HTTP side: gate, limits, keys, errors. Knows no cluster and no model."""
