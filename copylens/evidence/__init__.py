"""Evidence: where the words of a text stand in the registered corpus, and what is nearest to it.

`building` makes and takes apart an index, `index` reads one. Nothing here needs the LM.
"""
