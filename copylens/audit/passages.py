"""Members and non-members: the passages that an audit compares.

Members are passages of `train` only. Passages of val and test are used only where the config says
that the LM was not trained on them, and then as non-members.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.corpus.checks import Intake
from copylens.corpus.sampling import bucket, in_turn, shuffle_key
from copylens.corpus.sources.opening import open_source
from copylens.errors import ConfigError, CorpusError
from copylens.records import REGISTERED_SPLITS, Passage, SplitName

Kind = Literal["member", "non-member"]


@dataclass(frozen=True)
class AuditPassage:
    """A passage, whether the LM was trained on it, and its `source`: the split or the file."""

    id: str
    text: str
    group: str
    kind: Kind
    source: str


def audited(config: RunConfig) -> tuple[str, ...]:
    """The sub-datasets under audit, in the registry's order.

    Raises:
        ConfigError: a name is not in the corpus.
    """
    known = load_manifest(config.output).sub_datasets
    asked = config.audit.sub_datasets
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"audit.sub_datasets: '{name}' is not in the corpus; it has {', '.join(known)}"
            )
    return tuple(name for name in known if not asked or name in asked)


def audit_passages(config: RunConfig) -> dict[str, list[AuditPassage]]:
    """Sub-dataset -> members and non-members, at most `audit.passages` of each.

    Non-members of sub-datasets that are not registered (OOD, background) come under their own
    names: Self-Comparison uses them. Chosen by id alone, evenly over split groups.

    Raises:
        CorpusError: there is no corpus; a source in `audit.against` cannot be read, or has nothing
            of any audited sub-dataset.
    """
    names = set(audited(config))
    registered = set(load_manifest(config.output).sub_datasets)
    found: dict[str, list[AuditPassage]] = {name: [] for name in sorted(names)}
    splits: tuple[SplitName, ...] = ("train", *config.audit.unread_splits)
    for split in splits:
        for passage in read_split(config.output, split):
            strangers = split not in REGISTERED_SPLITS and passage.sub_dataset not in registered
            if strangers or (split in REGISTERED_SPLITS and passage.sub_dataset in names):
                found.setdefault(passage.sub_dataset, []).append(_audit_passage(passage, config))
    read = {item.text for items in found.values() for item in items if item.kind == "member"}
    for name, item in _against(config, names):
        # A member cannot be a non-member as well.
        if item.text not in read:
            found[name].append(item)
    most, seed = config.audit.passages, config.seed
    return {name: _chosen(items, most, seed) for name, items in found.items()}


def _audit_passage(passage: Passage, config: RunConfig) -> AuditPassage:
    kind: Kind = "member"
    source: str = passage.split
    if passage.split != "train":
        kind = "non-member"
    elif bucket(passage.id) in config.audit.unread_buckets:
        kind, source = "non-member", "train, unread buckets"
    return AuditPassage(passage.id, passage.text, passage.split_group, kind, source)


def _against(config: RunConfig, names: set[str]) -> Iterable[tuple[str, AuditPassage]]:
    for uri in config.audit.against:
        intake = Intake(config.corpus)
        intake.take(uri, open_source(uri).rows(), "registered")
        unsplit = [passage for passage in intake.passages if passage.sub_dataset in names]
        if not unsplit:
            raise CorpusError(
                f"audit.against: '{uri}' has no passage of {', '.join(sorted(names))}; its rows "
                "need `text` and the `sub_dataset` that they are like"
            )
        for p in unsplit:
            yield p.sub_dataset, AuditPassage(p.id, p.text, p.split_group, "non-member", uri)


def _chosen(items: Sequence[AuditPassage], most: int, seed: int) -> list[AuditPassage]:
    """At most `most` of each kind, taken in turn from the split groups."""
    order = sorted(items, key=lambda i: (shuffle_key(seed, i.group), shuffle_key(seed, i.id)))
    kept: list[AuditPassage] = []
    for kind in ("member", "non-member"):
        mine = [item for item in order if item.kind == kind]
        kept += in_turn(mine, lambda item: item.group)[:most]
    return kept
