"""Following an alias: swaps, failures, and a registry that is away. No cluster, no model."""

import asyncio
from dataclasses import dataclass

import pytest

from copylens.errors import ModelError
from copylens.records import ModelIdentity
from serve.replica.follow import Follower


@dataclass
class FakeModel:
    identity: ModelIdentity


class Registry:
    """An alias that tests move, and versions that cannot be loaded."""

    def __init__(self):
        self.champion, self.bad, self.away = "1", set(), None
        self.loads, self.warmed, self.outcomes, self.now = [], [], [], 0.0
        self.follower = Follower(
            self.resolve, self.load, self.warm, self.outcomes.append, lambda: self.now
        )

    def resolve(self):
        if self.away:
            raise self.away
        return self.champion

    def load(self, version, before):
        self.loads.append((version, before.identity.version if before else None))
        if version in self.bad:
            raise ModelError(f"version {version} is damaged")
        return FakeModel(ModelIdentity("copylens", version, "tiny", None))

    async def warm(self, model):
        # What is warmed up does not answer yet.
        assert model is not self.follower.current
        self.warmed.append(model.identity.version)

    def poll(self, times=1):
        async def run():
            for _ in range(times):
                await self.follower.poll()

        asyncio.run(run())
        current = self.follower.current
        return current.identity.version if current else None


def test_a_new_version_is_warmed_and_takes_over_once():
    registry = Registry()
    assert registry.poll(3) == "1"
    registry.champion = "2"
    assert registry.poll(3) == "2"
    assert registry.loads == [("1", None), ("2", "1")]
    assert registry.warmed == ["1", "2"]
    assert registry.outcomes == ["loaded", "loaded"]


def test_a_version_that_fails_leaves_the_old_one_and_is_not_tried_at_every_poll():
    registry = Registry()
    registry.poll()
    registry.champion, registry.bad = "2", {"2"}
    assert registry.poll(10) == "1"
    assert [version for version, _ in registry.loads] == ["1", "2"]
    status = registry.follower.status()
    assert (status.model.version, status.outcome, status.version) == ("1", "failed", "2")
    assert status.reason == "version 2 is damaged"
    registry.now = 11.0
    registry.poll(3)
    registry.now = 12.0
    registry.poll(3)
    assert registry.outcomes == ["loaded", "failed", "failed"], "waits longer each time"
    registry.bad, registry.now = set(), 1000.0
    assert registry.poll() == "2"
    assert registry.follower.status().outcome == "loaded"
    assert registry.follower.status().reason is None


def test_stepping_back_from_a_bad_version_ends_the_trouble():
    registry = Registry()
    registry.poll()
    registry.champion, registry.bad = "2", {"2"}
    registry.poll()
    registry.champion = "1"
    assert registry.poll() == "1"
    assert registry.follower.status().reason is None
    assert [version for version, _ in registry.loads] == ["1", "2"], "nothing is loaded again"
    registry.champion = "3"
    assert registry.poll() == "3"


@pytest.mark.parametrize("error", [ModelError("no registry"), OSError("down"), MemoryError()])
def test_a_registry_that_is_away_changes_nothing_and_is_told_once(error, caplog):
    registry = Registry()
    registry.poll()
    registry.away = error
    caplog.clear()
    with caplog.at_level("ERROR", logger="ray.serve.copylens"):
        assert registry.poll(5) == "1"
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert registry.follower.status().reason
    assert registry.outcomes == ["loaded"]
    registry.away = None
    registry.poll()
    assert registry.follower.status().reason is None


def test_without_a_first_version_there_is_no_model_and_a_reason():
    registry = Registry()
    registry.away = ModelError("models:/copylens@champion is not in the registry")
    assert registry.poll() is None
    assert "champion" in registry.follower.status().reason
    registry.away = None
    assert registry.poll() == "1"
