"""Keys and rates, against a clock of our own."""

import hashlib
import hmac

import pytest

from copylens.errors import ConfigError
from serve.http.auth import ApiKey, RateLimiter, find_key, new_key, parse_keys


def test_a_new_key_opens_by_its_line_and_no_other_does():
    (alice, line_a), (bob, line_b) = new_key("alice", 30), new_key("bob")
    keys = parse_keys(f"# who may ask\n{line_a}\n\n{line_b}  # until May\n", "keys.txt")
    assert find_key(keys, alice) == ApiKey("alice", hashlib.sha256(alice.encode()).hexdigest(), 30)
    assert find_key(keys, bob).name == "bob"
    for wrong in ("", alice[:-1], alice + "x", line_a.split()[1], keys[0].sha256, "\udc80ü"):
        assert find_key(keys, wrong) is None
    assert alice not in line_a
    assert len(alice) > 40


def test_every_entry_is_compared_even_after_a_hit(monkeypatch):
    made = [new_key(f"k{n}") for n in range(5)]
    keys = parse_keys("\n".join(line for _, line in made), "keys.txt")
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    assert find_key(keys, made[0][0]).name == "k0"
    assert len(compared) == 5


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice sha256:123",
        "alice md5:" + "0" * 64,
        "alice sha256:" + "0" * 64 + " often",
        "alice sha256:" + "0" * 64 + " 0/min",
        "a b sha256:" + "0" * 64,
        "alice sha256:" + "0" * 64 + "\nalice sha256:" + "1" * 64,
        "alice sha256:" + "0" * 64 + "\nbob sha256:" + "0" * 64,
    ],
)
def test_a_wrong_keys_file_is_named(line):
    with pytest.raises(ConfigError, match=r"keys\.txt"):
        parse_keys(line, "keys.txt")


@pytest.mark.parametrize("name", ["", "a b", "x\ny sha256:", "é" * 65])
def test_a_name_that_the_file_cannot_hold_is_refused(name):
    with pytest.raises(ConfigError, match="cannot name a key"):
        new_key(name)


def test_a_bucket_gives_a_burst_and_then_its_rate():
    now = [0.0]
    limiter = RateLimiter(per_minute=60, clock=lambda: now[0])
    key, other = ApiKey("a", "0" * 64), ApiKey("b", "1" * 64, per_minute=6)
    # One a second: ten at once, then one a second.
    assert [limiter.take(key) for _ in range(10)] == [0] * 10
    assert limiter.take(key) == pytest.approx(1.0)
    now[0] = 0.25
    assert limiter.take(key) == pytest.approx(0.75)
    now[0] = 1.0
    assert limiter.take(key) == 0
    # A key with a rate of its own has a bucket of its own.
    assert limiter.take(other) == 0
    assert limiter.take(other) == pytest.approx(10.0)
    taken = 0
    for step in range(600):
        now[0] = 100 + step / 10
        taken += limiter.take(key) == 0
    assert taken == 10 + 59
