"""The causal check: LMs retrained on halves of the sub-datasets, and scores held against them."""
