"""At most `max_passages` per sub-dataset, spread evenly over its groups; deterministic orders."""

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from copylens.corpus.checks import UnsplitPassage

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def shuffle_key(seed: int, *names: str) -> bytes:
    """A sort key that orders names at random, always in the same way for a seed."""
    return hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()


def bucket(passage_id: str) -> int:
    """0..9, even over ids and fixed for ever: the first 32 bits of their sha256, modulo ten."""
    return _bits(passage_id) % 10


def unit(passage_id: str) -> float:
    """In [0, 1), even over ids and fixed for ever: the first 32 bits of their sha256."""
    return float(_bits(passage_id) / 2**32)


def _bits(passage_id: str) -> int:
    return int(hashlib.sha256(passage_id.encode()).hexdigest()[:8], 16)


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by key, both in the order given."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def in_turn(items: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """The first item of every key, then the second of every key, and so on."""
    seen: Counter[Hashable] = Counter()
    ranked = []
    for item in items:
        ranked.append((seen[key(item)], item))
        seen[key(item)] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def limit_passages(
    passages: Sequence[UnsplitPassage], limit: int | None, seed: int
) -> list[UnsplitPassage]:
    """At most `limit` passages of each sub-dataset; the order stays.

    Own splits keep their proportions (each at least one passage), and inside a split the groups
    give alike, each from all over its length.
    """
    if limit is None:
        return list(passages)
    kept: set[str] = set()
    for members in grouped(passages, lambda d: (d.kind, d.sub_dataset)).values():
        strata = grouped(members, lambda d: str(d.split or ""))
        quotas = _proportional({name: len(rows) for name, rows in strata.items()}, limit)
        for name, quota in quotas.items():
            kept.update(passage.id for passage in _spread(strata[name], quota, seed))
    return [passage for passage in passages if passage.id in kept]


def _spread(passages: Sequence[UnsplitPassage], quota: int, seed: int) -> Iterable[UnsplitPassage]:
    groups = grouped(passages, lambda d: d.split_group)
    order = sorted(passages, key=lambda d: shuffle_key(seed, d.split_group))
    shares = Counter(d.split_group for d in in_turn(order, lambda d: d.split_group)[:quota])
    for group, share in shares.items():
        members = groups[group]
        # The middle of `share` equal stretches of the group.
        yield from (members[(2 * i + 1) * len(members) // (2 * share)] for i in range(share))


def _proportional(sizes: dict[str, int], limit: int) -> dict[str, int]:
    """Quotas that sum to at most `limit`, by largest remainder, each at least 1 if limit allows."""
    total = sum(sizes.values())
    if total <= limit:
        return sizes
    exact = {name: limit * size / total for name, size in sizes.items()}
    quotas = {name: max(1, int(value)) for name, value in exact.items()}
    by_need = sorted(sizes, key=lambda name: (quotas[name] - exact[name], name))
    while (difference := limit - sum(quotas.values())) > 0:
        for name in by_need[:difference]:
            quotas[name] += 1
    while sum(quotas.values()) > limit:
        quotas[max(quotas, key=lambda name: (quotas[name], name))] -= 1
    return quotas
