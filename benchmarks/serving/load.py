"""Clients of the service, in a process of their own: `python -m benchmarks.serving.load`.

A job comes as JSON on stdin, the answers leave as JSON on stdout. Closed loop: so many clients,
each asks anew once it has its answer. Open loop: so many requests a second, whatever comes back,
as users of a service that is too slow would go on asking.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

_TIMEOUT_S = 90.0
_LONGEST_PAUSE_S = 2.0
_REFUSED = (429, 503)


@dataclass(frozen=True)
class Job:
    """What to ask, and how.

    Attributes:
        texts: asked in turns.
        clients: of the closed loop; 0 = open loop.
        rate: requests a second of the open loop.
        seconds: no request begins later.
        requests: at most so many, of the closed loop; 0 = as many as fit.
        retries: after a refusal, a fault or a broken connection.
        keep: what answers say is kept, to be compared.
    """

    url: str
    texts: tuple[str, ...]
    seconds: float
    clients: int = 0
    rate: float = 0.0
    requests: int = 0
    retries: int = 0
    keep: bool = False


@dataclass(frozen=True)
class Answer:
    """One request, retries included.

    Attributes:
        begin: seconds since the epoch.
        seconds: until the answer.
        status: HTTP; 0 where no answer came.
        text: its place in the job's texts.
        tries: 1 + retries that were needed.
        body: the answer, where it was to be kept; of a refusal its code.
    """

    begin: float
    seconds: float
    status: int
    text: int
    tries: int
    body: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.status == 200


class Load:
    """A job that runs beside whatever the caller does."""

    def __init__(self, job: Job):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)))
        self._process.stdin.close()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def answers(self) -> list[Answer]:
        """Waits for the end; in the order of their beginning."""
        assert self._process.stdout is not None
        rows = json.loads(self._process.stdout.read())
        return sorted((Answer(*row) for row in rows), key=lambda answer: answer.begin)


def ask(job: Job) -> list[Answer]:
    """Runs a job to its end."""
    with Load(job) as load:
        return load.answers()


class Asker:
    """Sends a job's requests and notes the answers."""

    def __init__(self, job: Job, session: aiohttp.ClientSession):
        self._job, self._session = job, session
        self._next = 0
        self._end = time.monotonic() + job.seconds
        self.answers: list[Answer] = []

    async def closed(self) -> None:
        """Clients that wait for their answers."""
        await asyncio.gather(*(self._client() for _ in range(self._job.clients)))

    async def open(self) -> None:
        """Requests by the clock."""
        start = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        while (now := time.monotonic()) < self._end:
            due = int((now - start) * self._job.rate) + 1
            tasks += [asyncio.create_task(self._one()) for _ in range(due - len(tasks))]
            await asyncio.sleep(1 / self._job.rate)
        await asyncio.gather(*tasks)

    async def _client(self) -> None:
        while time.monotonic() < self._end and not 0 < self._job.requests <= self._next:
            await self._one()

    async def _one(self) -> None:
        number = self._next % len(self._job.texts)
        self._next += 1
        begin, clock = time.time(), time.monotonic()
        for tries in range(1, self._job.retries + 2):
            status, body, pause = await self._send(self._job.texts[number])
            if status == 200 or tries > self._job.retries:
                break
            await asyncio.sleep(pause)
        kept = body if self._job.keep or status != 200 else None
        seconds = time.monotonic() - clock
        self.answers.append(Answer(begin, seconds, status, number, tries, kept))

    async def _send(self, text: str) -> tuple[int, dict[str, Any] | None, float]:
        """Status, body, and how long to wait before another try."""
        try:
            async with self._session.post(
                f"{self._job.url}/v1/attribute", json={"text": text}
            ) as answer:
                raw = await answer.read()
                keep = self._job.keep or answer.status != 200
                pause = float(answer.headers.get("Retry-After", 0.2))
                return answer.status, _parsed(raw) if keep else None, min(pause, _LONGEST_PAUSE_S)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, {"error": type(error).__name__}, 0.2


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(raw)
    except ValueError:
        return {"error": raw[:200].decode(errors="replace")}
    return found


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest value that a part q of all does not exceed; q in (0, 1]."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there is no value to take a percentile of")
    return ordered[max(0, -(-int(q * 1e6) * len(ordered) // 10**6) - 1)]


def rate(answers: Sequence[Answer], warm_s: float, seconds: float) -> float:
    """Good answers a second, from `warm_s` after the first request on, for `seconds`."""
    first = answers[0].begin + warm_s
    done = [a for a in answers if a.ok and first <= a.begin + a.seconds < first + seconds]
    return len(done) / seconds


def refused_at_once(answers: Sequence[Answer]) -> list[float]:
    """Seconds that each refusal took."""
    return [answer.seconds for answer in answers if answer.status in _REFUSED]


async def _main() -> None:
    job = Job(**json.load(sys.stdin))
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connections) as session:
        asker = Asker(job, session)
        await (asker.closed() if job.clients else asker.open())
    print(json.dumps([list(vars(answer).values()) for answer in asker.answers]))


if __name__ == "__main__":
    asyncio.run(_main())
