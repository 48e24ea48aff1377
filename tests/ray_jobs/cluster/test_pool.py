"""The pool of actors over shards: its size, answers in any order, a mistake inside an actor."""

import json
import os
import time
from typing import Any

import pytest

from copylens.config.load import build_config
from copylens.errors import CorpusError
from ray_jobs.cluster.pool import ShardActor, over_shards
from ray_jobs.cluster.session import ray_session

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class ProcessActor(ShardActor):
    """Answers with its own process, after long enough for work to pile up."""

    def work(self, values: dict[str, Any]) -> int:
        time.sleep(values["seconds"])
        return os.getpid()


class RefusingActor(ShardActor):
    """Refuses one of the tasks."""

    def work(self, values: dict[str, Any]) -> int:
        if values["number"] == 3:
            raise CorpusError("shard 3 is damaged\nand the rest of a long story")
        return 1


def rows(count: int, seconds: float = 0.0) -> list[dict[str, str]]:
    return [{"task": json.dumps({"number": n, "seconds": seconds})} for n in range(count)]


@pytest.mark.parametrize(("least", "expected"), [(None, 3), (1, 3)])
def test_a_pool_is_fixed_or_grows_with_what_waits(least: int | None, expected: int) -> None:
    resources = {"embed_workers": 3, "embed_workers_min": least, "cpus_per_worker": 0.5}
    config = build_config({"resources": resources})
    with ray_session(config):
        answers = list(over_shards(config, ProcessActor, rows(40, 0.3)))
    assert len(answers) == 40
    processes = [answer["done"] for answer in answers]
    assert 1 < len(set(processes)) <= expected
    if least == 1:
        assert len(set(processes[:2])) == 1, "it starts with one worker"


def test_a_mistake_in_an_actor_comes_back_as_its_first_line() -> None:
    config = build_config({})
    with ray_session(config), pytest.raises(Exception) as caught:
        list(over_shards(config, RefusingActor, rows(5)))
    assert str(caught.value) == "shard 3 is damaged"
