"""The lexical channel: n-grams, names, ridge experts and class language models; no LM."""
