"""What is asked: texts of a given number of tokens, and the model that answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.size import FULL, Size
from copylens.corpus.publish import read_split


@dataclass(frozen=True)
class Case:
    """A finished run, the LM it is asked with, texts that its training has not seen, and the size
    of the measurement."""

    run: str
    probe: str | None
    size: Size = FULL

    @property
    def bundle(self) -> str:
        return str(Path(self.run, "model").absolute())

    def texts(self, tokens: int, count: int) -> tuple[str, ...]:
        """Test passages, joined and cut to exactly so many tokens of the LM."""
        from copylens.verdict.scorer import Scorer

        tokenizer = Scorer.load(self.bundle, probe=self.probe).probe.lm.tokenizer
        return cut([p.text for p in read_split(self.run, "test")], tokenizer, tokens, count)


def cut(passages: Sequence[str], tokenizer: Any, tokens: int, count: int) -> tuple[str, ...]:
    """`count` texts of so many tokens each, from passages in their order, over and over."""
    found: list[str] = []
    joined, place = "", 0
    while len(found) < count:
        joined += passages[place % len(passages)] + "\n"
        place += 1
        offsets = tokenizer(
            joined, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        if len(offsets) >= tokens:
            # The first token's blanks are no part of a text that stands alone.
            found.append(joined[: offsets[tokens - 1][1]])
            joined = ""
    return tuple(found)
