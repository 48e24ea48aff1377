"""Parts of a run done anew, in process, on other states or on other passages."""

from collections.abc import Sequence

from copylens.attributor.attention.dataset import state_set
from copylens.attributor.attention.fit import fit_reader
from copylens.attributor.attributor import Channels
from copylens.config.schema import RunConfig
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.model import FittedModel, fit_model
from copylens.fit.networks import FitState, fit_networks
from copylens.probe.lm import LanguageModel
from copylens.probe.probe import Probe
from copylens.records import States

# Texts per call of the probe, as many as a corpus shard holds.
_BATCH = 256


def with_channels(config: RunConfig, *names: str) -> RunConfig:
    """The config with these channels on, where they were, and no other."""
    off = {name: False for name in ("attention", "lexical") if name not in names}
    return config.model_copy(update={"channels": config.channels.model_copy(update=off)})


def probe_of(config: RunConfig, lm: LanguageModel) -> Probe:
    """A probe of another LM that reads as the run's own does."""
    return Probe(config.probe, config.seed, lm)


def embed_passages(probe: Probe, texts: Sequence[str]) -> tuple[States, ...]:
    """States of texts, a shard's worth at a time."""
    starts = range(0, len(texts), _BATCH)
    return tuple(s for start in starts for s in probe.states(texts[start : start + _BATCH]))


def attention_channel(config: RunConfig, classes: int, train: TextSet, val: TextSet) -> Channels:
    """The attention channel alone, fitted once on all of train as the train stage does.

    The fits without a fold, which only calibrate, are left out.
    """
    reader, _ = fit_reader(
        state_set([item.values for item in train.states], train.labels, train.group_index),
        state_set([item.values for item in val.states], val.labels),
        classes,
        config.attributor,
        config.seed,
    )
    return Channels(reader, None, config.probe.window)


def refit(config: RunConfig, data: TrainingData) -> FittedModel:
    """The train stage on these sets, from fresh networks to calibration."""
    return fit_model(config, data, fit_networks(config, data, FitState()))
