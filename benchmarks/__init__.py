"""Measurements that are too long or too loose for a test; each prints where its figures go."""
