"""Measuring: figures with intervals, baselines on the same splits, one report for people."""
