"""CopyLens: which registered sub-datasets of an LLM's training corpus a text draws on.

Data flows one way: corpus -> probe -> attributor/detector -> scorer -> jobs/serve.

Axis legend, used in every shape comment:
B batch, T tokens, W windows, L layers, D model width, F state features,
K sub-datasets, Z embedding of the detector.
"""

__version__ = "0.1.0"
