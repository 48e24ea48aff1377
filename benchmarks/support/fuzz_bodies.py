"""Bodies that no schema thinks of, for `benchmarks.fuzz`."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

_JSON = "application/json"
_OTHER_TYPES = (
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json-seq",
    "application/JSON; charset=utf-16",
    "application/problem+json",
    "\u00e4",
)
_NUMBERS = (
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "9" * 400,
    "-0.0",
    "1e-400",
    "0x10",
    "01",
    "9" * 5000,
)
_FIELDS = (
    "text",
    "prompt",
    "messages",
    "texts",
    "max_tokens",
    "alpha",
    "seed",
    "stop",
    "model",
    "n",
)
# Control characters, other directions, lone marks, no characters, beyond the first plane.
_SIGNS = (
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))),
    *"\u200b\u202e\u2028\ufeff\ufffe\uffff\u0301\U0001f40b\U000e0001\U0010ffff",
)


@dataclass(frozen=True)
class RawBody:
    """What is sent, and what it is called in a report; `type` None: no such header."""

    name: str
    content: bytes
    type: str | None = _JSON


def raw_bodies(seed: int, count: int) -> list[RawBody]:
    """The fixed ones, then random ones up to `count`; the same seed gives the same."""
    draw = random.Random(seed)
    makers: tuple[Callable[[random.Random], RawBody], ...] = (
        _broken_utf8,
        _signs,
        _surrogates,
        _deep,
        _number,
        _other_type,
        _cut,
    )
    bodies = _fixed()
    while len(bodies) < count:
        bodies.append(draw.choice(makers)(draw))
    return bodies


def _fixed() -> list[RawBody]:
    megabyte = "a ship " * 150_000
    long = [json.dumps({name: megabyte}).encode() for name in ("text", "prompt", "model", megabyte)]
    return [
        *(RawBody("a megabyte", content) for content in long),
        RawBody("three megabytes", b" " * (3 * 2**20)),
        RawBody("a megabyte of texts", json.dumps({"texts": ["a ship"] * 100_000}).encode()),
        RawBody("a megabyte of keys", json.dumps({f"k{n}": n for n in range(60_000)}).encode()),
        RawBody("nothing", b""),
        RawBody("a byte order mark", b"\xef\xbb\xbf" + b'{"text": "A ship."}'),
        RawBody("UTF-16", '{"text": "A ship."}'.encode("utf-16")),
        RawBody("the same key twice", b'{"text": "A ship.", "text": "A whale."}'),
        RawBody("brackets", b"[" * 500_000),
    ]


def _broken_utf8(draw: random.Random) -> RawBody:
    content = bytearray(b'{"text": "A ship and its crew.", "prompt": "A ship"}')
    for _ in range(draw.randint(1, 4)):
        content[draw.randrange(len(content))] = draw.randint(0x80, 0xFF)
    return RawBody("broken UTF-8", bytes(content))


def _signs(draw: random.Random) -> RawBody:
    text = "A ship " + "".join(draw.choices(_SIGNS, k=draw.randint(1, 30)))
    content = json.dumps({draw.choice(_FIELDS): text}, ensure_ascii=draw.random() < 0.5)
    return RawBody("strange signs", content.encode())


def _surrogates(draw: random.Random) -> RawBody:
    half = f'"A ship \\u{draw.randint(0xD800, 0xDFFF):04x} sails"'
    name = draw.choice(_FIELDS)
    shapes = (
        f'{{"{name}": {half}}}',
        f'{{{half}: 1, "text": "A ship.", "prompt": "A ship"}}',
        f'{{"texts": [{half}]}}',
        f'{{"prompt": "A ship", "block": {{"sub_datasets": [{half}]}}}}',
        f'{{"prompt": "A ship", "max_tokens": 4, "stop": [{half}]}}',
        f'{{"messages": [{{"role": "user", "content": {half}}}], "max_tokens": 4}}',
        f'{{"messages": [{{"role": {half}, "content": "A ship"}}]}}',
    )
    return RawBody("half of a surrogate pair", draw.choice(shapes).encode())


def _deep(draw: random.Random) -> RawBody:
    depth = 10 ** draw.randint(1, 5)
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}")))
    value = f"{opening * depth}1{closing * depth}"
    return RawBody("deep JSON", f'{{"{draw.choice(_FIELDS)}": {value}}}'.encode())


def _number(draw: random.Random) -> RawBody:
    value = draw.choice(_NUMBERS)
    shapes = (
        f'{{"text": "A ship.", "alpha": {value}}}',
        f'{{"prompt": "A ship", "max_tokens": 4, "seed": {value}}}',
        f'{{"prompt": "A ship", "max_tokens": {value}}}',
        f'{{"prompt": "A ship", "max_tokens": 4, "temperature": {value}}}',
        f'{{"messages": [{{"role": "user", "content": "a"}}], "max_tokens": 4, "top_p": {value}}}',
    )
    return RawBody("a huge number", draw.choice(shapes).encode())


def _other_type(draw: random.Random) -> RawBody:
    return RawBody("another type", b'{"text": "A ship."}', draw.choice(_OTHER_TYPES))


def _cut(draw: random.Random) -> RawBody:
    content = json.dumps({"text": "A ship.", "timeline": True, "alpha": 0.5}).encode()
    return RawBody("half of the body", content[: draw.randrange(len(content))])
