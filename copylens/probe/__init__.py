"""The target LM with its taps: texts -> states."""
