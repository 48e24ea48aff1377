"""Evidence: spans of a text that stand in registered passages, and its nearest passages.

`building` builds an index and removes sub-datasets from it, `index` queries it. No LM is needed.
"""
