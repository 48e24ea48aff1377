"""Cuts long texts into passages on paragraph, line, sentence or word borders; loses no text."""

import re

# A text up to so many times `passage_chars` stays whole.
WHOLE = 1.5
# Shortest and longest piece, and the least that a cut may leave, in units of `passage_chars`.
SHORTEST, LONGEST, LEAVE = 0.6, 1.4, 0.4

# From the best place to cut to the worst; a cut falls at the end of a match.
BORDERS = tuple(
    re.compile(expression) for expression in (r"\n[ \t\r]*\n", r"\n", r"[.!?][\"')\]”’]*\s", r"\s")
)


def cut_text(text: str, passage_chars: int) -> list[str]:
    """Pieces of about `passage_chars` characters, none longer than 1.5 times that.

    Only white space at the cuts is dropped: the pieces lie in the text in this order with nothing
    but white space between them. The indentation of a piece's first line stays.
    """
    pieces = []
    rest = text
    while len(rest) > WHOLE * passage_chars:
        cut = _next_cut(rest, passage_chars)
        pieces.append(rest[:cut])
        rest = rest[cut:]
    if not pieces:
        return [text]
    trimmed = [piece.rstrip().lstrip("\r\n") for piece in (*pieces, rest)]
    return [piece for piece in trimmed if piece]


def _next_cut(rest: str, passage_chars: int) -> int:
    """Where the next piece ends: the best kind of border, the one nearest to an even cut."""
    target = len(rest) / round(len(rest) / passage_chars)
    first = int(SHORTEST * passage_chars)
    last = int(min(LONGEST * passage_chars, len(rest) - LEAVE * passage_chars))
    for border in BORDERS:
        ends = [match.end() for match in border.finditer(rest, first, last)]
        if ends:
            return min(ends, key=lambda end: abs(end - target))
    return min(int(target), last)
