"""States and words -> shares per sub-dataset: the channels, their fusion, the time line."""
