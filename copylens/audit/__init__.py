"""Was the LM trained on a sub-dataset? Tests, their p-values, and a plain sentence."""
