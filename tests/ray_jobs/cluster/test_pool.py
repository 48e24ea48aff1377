"""The pool of actors over shards: its size, answers in any order, a mistake inside an actor."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from copylens.config.load import build_config
from copylens.errors import CorpusError
from ray_jobs.cluster.pool import ShardActor, _pool, over_shards
from ray_jobs.cluster.session import ray_session

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class WaitingActor(ShardActor):
    """Answers with its own process, as soon as so many processes have been asked for something."""

    def work(self, values: dict[str, Any]) -> int:
        asked = Path(values["folder"])
        (asked / str(os.getpid())).touch()
        while len(list(asked.iterdir())) < values["processes"]:
            time.sleep(0.05)
        return os.getpid()


class RefusingActor(ShardActor):
    """Refuses one of the tasks."""

    def work(self, values: dict[str, Any]) -> int:
        if values["number"] == 3:
            raise CorpusError("shard 3 is damaged\nand the rest of a long story")
        return 1


def rows(count: int, **values: object) -> list[dict[str, str]]:
    return [{"task": json.dumps({"number": n, **values})} for n in range(count)]


@pytest.mark.parametrize("least", [None, 1])
def test_all_workers_of_a_pool_come_to_work_and_no_more(least: int | None, tmp_path: Path) -> None:
    """They wait for each other: a pool that stayed smaller would never end."""
    resources = {"embed_workers": 3, "embed_workers_min": least, "cpus_per_worker": 0.5}
    config = build_config({"resources": resources})
    tasks = rows(40, folder=str(tmp_path), processes=3)
    with ray_session(config):
        answers = list(over_shards(config, WaitingActor, tasks))
    assert len(answers) == 40
    assert len({answer["done"] for answer in answers}) == 3 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("workers", "least", "shards", "sizes"),
    [
        (3, None, 40, (3, 3, 3)),
        (3, 1, 40, (1, 1, 3)),
        (3, 3, 40, (3, 3, 3)),
        (3, None, 2, (2, 2, 2)),
        (3, 1, 1, (1, 1, 1)),
    ],
)
def test_a_pool_starts_with_the_least_and_has_no_more_workers_than_shards(
    workers: int, least: int | None, shards: int, sizes: tuple[int, int, int]
) -> None:
    resources = {"embed_workers": workers, "embed_workers_min": least}
    found = _pool(build_config({"resources": resources}), shards)
    assert (found.initial_size, found.min_size, found.max_size) == sizes


def test_a_mistake_in_an_actor_comes_back_as_its_first_line() -> None:
    config = build_config({})
    with ray_session(config), pytest.raises(Exception) as caught:
        list(over_shards(config, RefusingActor, rows(5)))
    assert str(caught.value) == "shard 3 is damaged"
