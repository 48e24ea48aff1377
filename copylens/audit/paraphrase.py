"""Paraphrases of a text by rules, without an LM: for Self-Comparison.

A paraphraser is any function (text, seed) -> text that keeps the meaning and is deterministic; it
may return a text unchanged.
"""

import importlib
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from copylens.errors import ConfigError

Paraphraser = Callable[[str, int], str]

_WORDS = Path(__file__).parent / "rewordings.txt"
_SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"'”’)\]]*\s*|[^.!?]+$")
# Two clauses that may change places.
_CLAUSES = re.compile(r"^([^,;]{12,}), (and|but|or) ([^,;]{12,}?)([.!?])$")
# Words that owe their capital to the beginning of a sentence.
_OPENERS = re.compile(r"(the|an?|this|that|these|those|he|she|it|we|they|there|then|in)\b", re.I)


def rules(text: str, seed: int) -> str:
    """Replaces words and short phrases by synonyms and swaps clauses.

    Made for English prose; other texts change little. The result can be unidiomatic, so its cost
    must be compared with that of other paraphrases by the same rules, never used alone.
    """
    draw = random.Random(f"{seed}:{text}")
    sentences = [_reordered(match.group(), draw) for match in _SENTENCE.finditer(text)]
    pattern, table = _table()
    return pattern.sub(lambda found: _like(found.group(), table), "".join(sentences))


def load_paraphraser(name: str | None) -> Paraphraser:
    """`rules`, or the function that `package.module:function` names; None = it changes nothing.

    Raises:
        ConfigError: there is no such module or function.
    """
    if name is None:
        return lambda text, _seed: text
    if name == "rules":
        return rules
    module, _, function = name.partition(":")
    try:
        found: Paraphraser = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"audit.paraphraser '{name}' cannot be loaded ({error}); give `rules` or "
            "package.module:function"
        ) from None
    if not callable(found):
        raise ConfigError(f"audit.paraphraser '{name}' is no function of (text, seed)")
    return found


@cache
def _table() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all phrases that can be replaced, and their replacements."""
    table: dict[str, str] = {}
    for line in _WORDS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        one, sign, other = (part.strip() for part in re.split("([=>])", line))
        table.setdefault(one, other)
        if sign == "=":
            table.setdefault(other, one)
    longest_first = "|".join(map(re.escape, sorted(table, key=len, reverse=True)))
    return re.compile(rf"(?<![\w'])(?:{longest_first})(?![\w'])", re.I), table


def _like(words: str, table: dict[str, str]) -> str:
    other = table[words.lower()]
    return other.capitalize() if words[0].isupper() else other


def _reordered(sentence: str, draw: random.Random) -> str:
    body = sentence.rstrip()
    found = _CLAUSES.match(body)
    if found is None or draw.random() < 0.5:
        return sentence
    second, joint, first, end = found.groups()
    if _OPENERS.match(second):
        second = second[0].lower() + second[1:]
    return f"{first[0].upper()}{first[1:]}, {joint} {second}{end}{sentence[len(body) :]}"
