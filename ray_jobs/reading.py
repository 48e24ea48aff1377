"""Texts -> states on the workers that read the corpus."""

from collections.abc import Sequence

from copylens.config.schema import RunConfig
from copylens.records import States
from copylens.states.texts import JOINED, plan_texts, states_of
from copylens.states.words import word_states
from copylens.store import storage
from ray_jobs.embed import embed_shards


def read_texts(config: RunConfig, texts: Sequence[str]) -> list[States]:
    """Reads texts that are no passages of the corpus, in order; without an LM as plain words.

    They lie in `<output>/joined` meanwhile: what has been read before a crash is not read again.

    Raises:
        ModelError: the LM cannot read one of them.
    """
    if not config.reads_lm:
        return word_states(texts, config.probe.window)
    folder = storage.join(config.output, JOINED)
    tasks = plan_texts(config, folder, texts)
    embed_shards(config, [task for task in tasks if not task.done], "joined")
    states = states_of(tasks)
    storage.remove_tree(folder)
    return states
