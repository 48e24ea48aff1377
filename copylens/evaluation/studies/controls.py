"""Does the LM matter? The attention channel where the LM cannot know the texts, or is not there.

Each control trains the same reader with the same settings on the same passages, at most
`evaluation.control_passages` of them; only what it reads differs. So does the probe's attention
channel that they are compared with. `difference` is the control's accuracy less the probe's on
the very same test passages: at or above 0, what the LM has learned adds nothing.
"""

import dataclasses
from typing import Any

import numpy as np
import torch

from copylens.attributor.attention.training import predict
from copylens.attributor.attributor import Channels
from copylens.config.schema import RunConfig
from copylens.evaluation.studies.inputs import Right, StudyInput
from copylens.evaluation.studies.refit import attention_channel, embed_passages, probe_of
from copylens.evaluation.studies.token_lstm import fit_token_network, token_set
from copylens.fit.data import TextSet
from copylens.probe.lm import LanguageModel, load_language_model
from copylens.records import IntArray


def run(study: StudyInput) -> dict[str, Any]:
    """Figures of `random_init`, `never_trained` (None without a control model) and the LSTM."""
    index = study.sample()
    lm = load_language_model(study.config.probe)
    fresh = random_init(lm, study.config.seed)
    K = len(study.names)
    train = study.some_of_train(study.config.evaluation.control_passages, read=True)
    probe = attention_channel(study.config, K, train, study.val)
    return {
        "random_init": _figures(study, probe, _attention_right(study, fresh, index), index),
        "never_trained": never_trained(study, probe),
        "text_only_lstm": _figures(study, probe, _tokens_right(study, lm, index), index),
    }


def never_trained(study: StudyInput, probe: Channels) -> dict[str, Any] | None:
    """The control model on the test passages of what it has not read; None where none is named.

    It chooses among all K sub-datasets, as the probe does.
    """
    settings = study.config.evaluation
    if not settings.control_model:
        return None
    unread = [study.names.index(name) for name in settings.never_trained]
    index = study.sample(np.flatnonzero(np.isin(study.test.labels, unread)))
    lm = load_language_model(control_config(study.config).probe)
    return _figures(study, probe, _attention_right(study, lm, index), index)


def control_config(config: RunConfig) -> RunConfig:
    """The config with the control model in the probe's place."""
    changes = {"model": config.evaluation.control_model, "revision": None}
    return config.model_copy(update={"probe": config.probe.model_copy(update=changes)})


def random_init(lm: LanguageModel, seed: int) -> LanguageModel:
    """The same LM with weights as before any training; tokenizer and sizes stay."""
    from transformers import AutoModel, AutoModelForCausalLM

    auto = AutoModelForCausalLM if lm.architecture.causal else AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = auto.from_config(lm.model.config, dtype=lm.model.dtype)
    return dataclasses.replace(lm, model=model.to(lm.device).eval().requires_grad_(False))


def _attention_right(study: StudyInput, lm: LanguageModel, index: IntArray) -> Right:
    """Which test passages the attention channel gets right with this LM's states."""
    some = study.some_of_train(study.config.evaluation.control_passages, read=True)
    reader = probe_of(study.config, lm)

    def read(texts: TextSet) -> TextSet:
        return dataclasses.replace(texts, states=embed_passages(reader, texts.texts))

    test = read(study.test.subset(index))
    train, val = read(some), read(study.val)
    return _right(attention_channel(study.config, len(study.names), train, val), test)


def _right(channels: Channels, test: TextSet) -> Right:
    log_probs = channels.scores(test.texts, test.states).text["attention"]
    return np.asarray(log_probs.argmax(axis=1) == test.labels)


def _tokens_right(study: StudyInput, lm: LanguageModel, index: IntArray) -> Right:
    """Which test passages the LSTM over learned token embeddings gets right."""
    test = study.test.subset(index)
    some = study.some_of_train(study.config.evaluation.control_passages, read=True)
    train, val, held = (
        token_set(lm, part.texts, part.labels, study.config.probe.window)
        for part in (some, study.val, test)
    )
    vocabulary = len(lm.tokenizer)
    network = fit_token_network(study.config, len(study.names), vocabulary, train, val)
    return np.asarray(predict(network, held.values).text.argmax(axis=1) == test.labels)


def _figures(study: StudyInput, probe: Channels, right: Right, index: IntArray) -> dict[str, Any]:
    probe_right = _right(probe, study.test.subset(index))
    return {
        "accuracy": float(right.mean()),
        "probe_accuracy": float(probe_right.mean()),
        **study.compare(right, probe_right, index),
        "n": len(index),
    }
