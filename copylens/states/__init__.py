"""Passages -> state shards, and reading them back in bounded memory."""
