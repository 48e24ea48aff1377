"""Parts of a run done anew, in process, on other states or on other passages."""

from collections.abc import Sequence

from copylens.attributor.attention.dataset import state_set
from copylens.attributor.attention.training import fit_network
from copylens.attributor.attributor import Channels, channel_values
from copylens.config.schema import RunConfig
from copylens.fit.assembly import FittedModel
from copylens.fit.held_out import TextSet, fit_channels
from copylens.fit.networks import FitState, fit_networks, fitted_model
from copylens.probe.lm import LanguageModel
from copylens.probe.probe import Probe
from copylens.probe.readout_fit import fit_readout
from copylens.records import States

# Texts per call of the probe, as many as a corpus shard holds.
_BATCH = 256


def with_channels(config: RunConfig, *names: str) -> RunConfig:
    """The config with these channels on, where they were, and no other."""
    off = {name: False for name in ("attention", "likelihood", "lexical") if name not in names}
    return config.model_copy(update={"channels": config.channels.model_copy(update=off)})


def reader_of(config: RunConfig, lm: LanguageModel, train: Sequence[str]) -> Probe:
    """A probe of another LM that reads as the run's own does, its read-out fitted on `train`.

    Without the likelihood channel, which no control needs, so the vocabulary is never scored.
    """
    settings = config.probe.model_copy(update={"likelihood": False})
    probe = Probe(settings, config.seed, lm)
    if not settings.readout:
        return probe
    sample = train[:: max(1, len(train) // settings.readout_passages)]
    readout = fit_readout(probe, sample[: settings.readout_passages], config.seed)
    return Probe(settings, config.seed, lm, readout)


def embed_passages(probe: Probe, texts: Sequence[str]) -> tuple[States, ...]:
    """States of texts, a shard's worth at a time."""
    starts = range(0, len(texts), _BATCH)
    return tuple(s for start in starts for s in probe.states(texts[start : start + _BATCH]))


def attention_channel(config: RunConfig, classes: int, train: TextSet, val: TextSet) -> Channels:
    """The attention channel alone, fitted once on all of train as the train stage does.

    The parts without a split group, which only calibrate, are left out.
    """
    network, _ = fit_network(
        state_set(channel_values("attention", train.states), train.labels),
        state_set(channel_values("attention", val.states), val.labels),
        classes,
        config.attributor,
        config.seed,
    )
    alone = with_channels(config, "attention")
    return fit_channels(alone, classes, {"attention": network}, train)


def refit(
    config: RunConfig, names: tuple[str, ...], train: TextSet, val: TextSet, ood_val: TextSet
) -> FittedModel:
    """The train stage on these sets, from fresh networks to calibration, without background texts.

    Args:
        names: the K sub-datasets that the labels of train and val number.
        ood_val: unregistered texts to choose the detector's settings by; may be empty.
    """
    state = fit_networks(config, len(names), train, val, FitState(), lambda state, fit: None)
    return fitted_model(config, names, state, train, val, ood_val)
