"""The demonstration: text that is on every machine, and an LM trained on it on the spot."""
