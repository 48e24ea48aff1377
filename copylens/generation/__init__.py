"""Verdicts and flags while the LM writes."""
