"""Group splits: whole split groups go to train, val or test, so that a book is never cut."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from copylens.config.schema import CorpusConfig
from copylens.corpus.checks import UnsplitPassage
from copylens.corpus.sampling import shuffle_key
from copylens.errors import CorpusError
from copylens.records import Group, Passage, SplitName

OOD_FRACTIONS: Mapping[SplitName, float] = {"ood_test": 0.6, "ood_val": 0.4}
IMPROVE_ROUNDS = 20
# Up to so many groups pairs are tried too: few groups of uneven size need it.
SWAP_GROUPS = 64
TOLERANCE = 1e-6


def split_passages(
    passages: Sequence[UnsplitPassage], config: CorpusConfig, seed: int
) -> list[Passage]:
    """Gives every passage its split; the order stays.

    Rows with their own split keep it, and others of the same group follow them. The remaining
    groups are spread by passages: the registered ones per sub-dataset, the OOD ones all together.
    """
    chosen = _followers(passages)
    # From the split a sub-dataset cannot do without to the one it can.
    fractions: dict[SplitName, float] = {
        "train": 1 - config.val_fraction - config.test_fraction,
        "test": config.test_fraction,
        "val": config.val_fraction,
    }
    registered = [passage for passage in passages if passage.kind == "registered"]
    for name in sorted({passage.sub_dataset for passage in registered}):
        members = [passage for passage in registered if passage.sub_dataset == name]
        chosen |= _spread_rest(members, chosen, fractions, seed)
    ood = [passage for passage in passages if passage.kind == "ood"]
    chosen |= _spread_rest(ood, chosen, OOD_FRACTIONS, seed)
    return [_passage(passage, passage.split or chosen[passage.group]) for passage in passages]


def require_splits(passages: Iterable[Passage], sub_datasets: Iterable[str]) -> None:
    """Checks that every sub-dataset can be trained on and tested.

    Raises:
        CorpusError: one has no train or no test passages, or there is no val passage at all.
    """
    counts = Counter((passage.sub_dataset, passage.split) for passage in passages)
    needed: tuple[SplitName, ...] = ("train", "test")
    for name in sub_datasets:
        for split in needed:
            if not counts[name, split]:
                raise CorpusError(
                    f"sub-dataset '{name}' has no {split} passages; give it at least 3 split "
                    "groups, or rows with `split` train, val and test"
                )
    if not any(counts[name, "val"] for name in sub_datasets):
        raise CorpusError(
            "no sub-dataset has val passages; give each at least 3 split groups, or rows with "
            "`split` train, val and test"
        )


def spread_groups(
    sizes: Mapping[Group, int],
    fractions: Mapping[SplitName, float],
    filled: Mapping[SplitName, int],
    seed: int,
) -> dict[Group, SplitName]:
    """Assigns groups to splits so that the fractions hold by passages as well as they can.

    Args:
        sizes: passages of each group.
        fractions: share of each split, summing to 1; while groups are few the first get one first.
        filled: passages the splits already have.
        seed: with the groups' names it fixes the order.
    """
    total = sum(sizes.values()) + sum(filled.values())
    targets = {split: share * total for split, share in fractions.items()}
    held = {split: filled.get(split, 0) for split in fractions}
    order = sorted(sizes, key=lambda group: shuffle_key(seed, *group))
    chosen: dict[Group, SplitName] = {}
    for place, group in enumerate(order):
        empty = [split for split in fractions if not held[split]]
        if len(order) - place <= len(empty):
            split = empty[0]
        else:
            split = min(fractions, key=lambda s: (held[s] + sizes[group]) / targets[s])
        chosen[group] = split
        held[split] += sizes[group]
    for _ in range(IMPROVE_ROUNDS):
        if not _improve(order, sizes, targets, held, chosen):
            break
    return chosen


def _improve(
    order: Sequence[Group],
    sizes: Mapping[Group, int],
    targets: Mapping[SplitName, float],
    held: dict[SplitName, int],
    chosen: dict[Group, SplitName],
) -> bool:
    """Moves groups, or swaps two, wherever that lowers the squared error; True if any changed.

    No split is emptied. With many groups moves alone come close enough.
    """
    partners = order if len(order) <= SWAP_GROUPS else ()
    changed = False
    for group in order:
        size, here = sizes[group], chosen[group]
        steps: list[tuple[float, SplitName, Group | None]] = [
            (_growth(held, targets, size - sizes[other], here, chosen[other]), chosen[other], other)
            for other in partners
            if chosen[other] != here
        ]
        if held[here] > size:
            steps += [
                (_growth(held, targets, size, here, there), there, None)
                for there in targets
                if there != here
            ]
        growth, there, other = min(steps, key=lambda step: step[0], default=(0.0, here, None))
        if growth < -TOLERANCE:
            amount = size - (sizes[other] if other else 0)
            held[here] -= amount
            held[there] += amount
            chosen[group] = there
            if other:
                chosen[other] = here
            changed = True
    return changed


def _growth(
    held: Mapping[SplitName, int],
    targets: Mapping[SplitName, float],
    amount: int,
    here: SplitName,
    there: SplitName,
) -> float:
    """Growth of sum((held - target)^2) over splits when `amount` goes from `here` to `there`."""
    excess = (held[there] - targets[there]) - (held[here] - targets[here])
    return 2.0 * amount * (excess + amount)


def _followers(passages: Iterable[UnsplitPassage]) -> dict[Group, SplitName]:
    """The own split of each group that has one; the most frequent where it has several."""
    votes: dict[Group, Counter[SplitName]] = {}
    for passage in passages:
        if passage.split is not None and passage.kind != "background":
            votes.setdefault(passage.group, Counter())[passage.split] += 1
    return {group: max(v, key=lambda s: (v[s], s)) for group, v in votes.items()}


def _spread_rest(
    passages: Sequence[UnsplitPassage],
    chosen: Mapping[Group, SplitName],
    fractions: Mapping[SplitName, float],
    seed: int,
) -> dict[Group, SplitName]:
    open_groups: Counter[Group] = Counter()
    filled: Counter[SplitName] = Counter()
    for passage in passages:
        split = passage.split or chosen.get(passage.group)
        if split is None:
            open_groups[passage.group] += 1
        else:
            filled[split] += 1
    return spread_groups(open_groups, fractions, filled, seed)


def _passage(passage: UnsplitPassage, split: SplitName) -> Passage:
    return Passage(
        id=passage.id,
        text=passage.text,
        sub_dataset=passage.sub_dataset,
        holder=passage.holder,
        license=passage.license,
        title=passage.title,
        source_url=passage.source_url,
        split_group=passage.split_group,
        split=split,
    )
