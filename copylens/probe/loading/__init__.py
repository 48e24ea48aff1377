"""From what a user names to a loaded LM: its place, its hash, its weights, its adapter."""
