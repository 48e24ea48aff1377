"""A fitted model without one of its sub-datasets: what can be cut out is cut, nothing is refitted.

Each reader of a channel judges sub-datasets by outputs of their own, which are normalised
afterwards; without one output the others keep their order. docs/takedown.md says of every part
what goes and what cannot be told apart.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from copylens.attributor.attention.reader import Reader, build_reader
from copylens.attributor.attributor import Attributor, Channels
from copylens.attributor.lexical.class_lm import ClassLanguageModel, Level
from copylens.attributor.lexical.classifier import LexicalClassifier, lexical_views
from copylens.attributor.lexical.ngrams import NgramView
from copylens.detector.space import Space
from copylens.fit.data import TextSet
from copylens.records import FloatArray
from copylens.text import Ids

_HEADS = ("window_head", "moment_head", "head")


def attributor_without(attributor: Attributor, place: int, train: TextSet) -> Attributor:
    """The attributor without the sub-dataset at `place`.

    Args:
        train: the training passages that are left; words and n-grams that none of them uses go.
    """
    channels = attributor.channels
    attention, lexical = channels.attention, channels.lexical
    names = attributor.sub_datasets
    return replace(
        attributor,
        sub_datasets=names[:place] + names[place + 1 :],
        # A change draws from one less. So that each of the others comes next as often as before,
        # what would have gone to this one stays where it is.
        switch_probability=attributor.switch_probability * (len(names) - 1) / len(names),
        channels=Channels(
            None if attention is None else reader_without(attention, place),
            None if lexical is None else lexical_without(lexical, place, train.texts),
            channels.window,
        ),
    )


def space_without(space: Space | None, place: int) -> Space | None:
    """Its centre goes from the detector's space."""
    if space is None:
        return None
    return Space(space.projector, np.delete(space.centres, place, axis=0))


def reader_without(reader: Reader, place: int) -> Reader:
    """Its row goes from every head."""
    kept = [k for k in range(reader.shape.classes) if k != place]
    smaller = build_reader(vars(reader.shape) | {"classes": len(kept)})
    smaller.load_state_dict(
        {
            key: value[kept] if key.startswith(_HEADS) else value
            for key, value in reader.state_dict().items()
        }
    )
    return smaller.eval()


def lexical_without(
    lexical: LexicalClassifier, place: int, texts: Sequence[str]
) -> LexicalClassifier:
    """Its columns and counts go, and every word and n-gram that no text left uses."""
    names, skeleton = lexical.names.within(texts), lexical.skeleton.within(texts)
    documents = lexical_views(names, skeleton, texts).ngrams
    parts = [
        _view_without(view, weight, place, document)
        for view, weight, document in zip(lexical.views, lexical.weights, documents)
    ]
    return replace(
        lexical,
        names=names,
        skeleton=skeleton,
        views=tuple(view for view, _ in parts),
        weights=tuple(weight for _, weight in parts),
        models=tuple(
            ClassLanguageModel(tuple(_level_without(level, place) for level in model.levels))
            for model in lexical.models
        ),
        centre=np.delete(lexical.centre, place, axis=1),
    )


def _level_without(level: Level, place: int) -> Level:
    """Its counts go, and every n-gram that only it had: as if it had never been counted."""
    columns = [k for k in range(level.counts.shape[1]) if k != place]
    counts = sparse.csr_matrix(level.counts[:, columns])
    counts.eliminate_zeros()
    kept = np.flatnonzero(np.diff(counts.indptr)[:-1] > 0)
    # The last row stands for every n-gram that was not seen.
    rows = np.append(kept, len(level.ids))
    used, context_of = np.unique(level.context_of[kept], return_inverse=True)
    return Level(
        level.ids[kept],
        sparse.csr_matrix(counts[rows]),
        level.contexts[used],
        context_of.astype(np.int32),
    )


def _view_without(
    view: NgramView, weight: FloatArray, place: int, documents: Sequence[Ids]
) -> tuple[NgramView, FloatArray]:
    used = np.unique(np.concatenate([np.unique(document) for document in documents]))
    kept = np.isin(view.vocabulary, used)
    smaller = NgramView(view.vocabulary[kept], view.idf[kept], view.unseen)
    return smaller, np.ascontiguousarray(np.delete(weight[kept], place, axis=1))
