"""The demonstration: real text that is on every machine, and an LM whose reading is known."""
