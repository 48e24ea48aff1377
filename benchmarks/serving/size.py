"""How long each part of `benchmarks.serve` measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """`FULL` is the size of published figures; `SMALLEST` shows only that everything runs.

    Attributes:
        rounds, long_s, short_s: of throughput: rounds, and seconds of a round per side with texts
            of 512 and of 64 tokens; the first `warm_s` of them are not counted.
        clients: at the same time, where many ask.
        blocks, requests: of latency: turns per side, and requests of a turn.
        faults_s, kill_every_s: of kills: seconds, and seconds between two kills.
        switches: changes of the champion.
        overload_s, capacity_s, search_s: of overload: seconds of too many requests, of the search
            for what can be answered, and at most of the recovery.
        calm_requests: one after another, to know the latency without load.
        step_s, after_s: of autoscaling: seconds with many clients, and with one after that.
        texts: of golden, in four lengths.
        live: options of `benchmarks.live`.
    """

    rounds: int = 3
    long_s: float = 8.0
    short_s: float = 4.0
    warm_s: float = 1.5
    clients: int = 32
    blocks: int = 20
    requests: int = 10
    faults_s: float = 60.0
    kill_every_s: float = 5.0
    switches: int = 5
    overload_s: float = 60.0
    capacity_s: float = 12.0
    search_s: float = 30.0
    calm_requests: int = 100
    step_s: float = 50.0
    after_s: float = 45.0
    texts: int = 40
    live: tuple[str, ...] = ()


FULL = Size()
SMALLEST = Size(
    rounds=1,
    long_s=2.0,
    short_s=2.0,
    warm_s=0.5,
    clients=4,
    blocks=1,
    requests=3,
    faults_s=4.0,
    kill_every_s=2.0,
    switches=1,
    overload_s=2.0,
    capacity_s=3.0,
    search_s=5.0,
    calm_requests=5,
    step_s=3.0,
    after_s=2.0,
    texts=4,
    live=("--passages", "4", "--prompts", "1", "--tokens", "16", "--rounds", "1", "--every", "8"),
)
