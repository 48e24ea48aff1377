"""The arguments of the Serve application: typed, frozen, unknown keys refused."""

from typing import Self

from pydantic import Field, model_validator

from copylens.config.section import Section


class Limits(Section):
    """Limits of one request; beyond them it gets a 4xx that names the limit."""

    body_bytes: int = Field(default=2 * 2**20, ge=1024, description="size of a request's body")
    body_s: float = Field(default=20, gt=0, description="seconds a client may take to send it")
    texts: int = Field(default=64, ge=1, description="texts per request")
    text_chars: int = Field(default=50_000, ge=1, description="characters per text")
    request_chars: int = Field(default=200_000, ge=1, description="characters of all its texts")
    deadline_s: float = Field(
        default=30, gt=0, description="seconds until the verdict or the first token, 504 beyond"
    )
    generation_s: float = Field(default=300, gt=0, description="seconds that a generation may take")
    requests_per_minute: float = Field(
        default=600, gt=0, description="per API key, where the keys file says nothing else"
    )


class Batching(Section):
    """How texts of several requests are batched into a pass of the LM."""

    # Large enough to share a pass's fixed cost; small enough that the LM is not idle after a batch
    # while responses and the clients' next requests are in transit.
    texts: int = Field(default=8, ge=1, description="most texts in one pass; more on a GPU")
    chars: int = Field(default=60_000, ge=1, description="most characters, a longer text alone")
    queue_texts: int = Field(default=256, ge=1, description="texts that may wait, 429 beyond")
    answer_s: float = Field(
        default=20,
        gt=0,
        description="estimated seconds until a verdict, 429 beyond; an idle scorer takes any text",
    )
    generations: int = Field(default=2, ge=1, description="run at a time, token by token")
    queue_generations: int = Field(default=16, ge=0, description="that may wait, 429 beyond")
    stalled_s: float = Field(
        default=600,
        gt=0,
        description="seconds until a pass counts as hung: the replica is replaced",
    )


class ServeArgs(Section):
    """The arguments of `serve.app:build`, as `args` of a Serve config file gives them."""

    model: str = Field(
        default="models:/copylens@champion",
        description="models:/NAME@ALIAS (followed), models:/NAME/VERSION or a saved folder (fixed)",
    )
    tracking_uri: str | None = Field(
        default=None, description="MLflow; default: $MLFLOW_TRACKING_URI, else copylens.db"
    )
    probe: str | None = Field(default=None, description="folder of the LM, if it has moved")
    policy: str | None = Field(default=None, description="YAML file; default: flag all registered")
    keys: str | None = Field(default=None, description="file of hashed API keys")
    open_access: bool = Field(default=False, description="answer without API keys")
    hosts: tuple[str, ...] = Field(
        default=(), description="names beside localhost that an open service answers to"
    )
    poll_s: float = Field(default=15, gt=0, description="seconds between two reads of the alias")
    wait_for_model: bool = Field(
        default=True,
        description="a replica counts as started only once it has a model, so that a new cluster "
        "takes no traffic before; false: it answers 503 and says why in /readyz",
    )
    threads: int = Field(default=1, ge=1, description="torch threads of a Scorer replica")
    replicas_min: int = Field(default=1, ge=1, description="Scorer replicas at rest")
    replicas_max: int = Field(default=1, ge=1, description="Scorer replicas under load")
    scale_up_s: float = Field(default=15, ge=0, description="seconds of load before one is added")
    scale_down_s: float = Field(default=300, ge=0, description="of calm before one is removed")
    ingresses: int = Field(default=1, ge=1, description="Ingress replicas")
    log_texts: bool = Field(default=False, description="log texts too, not their sha256 alone")
    page: bool = Field(default=True, description="serve the page at /")
    limits: Limits = Limits()
    batching: Batching = Batching()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replicas_max < self.replicas_min:
            raise ValueError(
                f"replicas_max is {self.replicas_max}, below replicas_min ({self.replicas_min})"
            )
        if self.batching.queue_texts < self.limits.texts:
            raise ValueError(
                f"batching.queue_texts is {self.batching.queue_texts}, below limits.texts "
                f"({self.limits.texts}): a request of that many could never be taken"
            )
        if self.keys is None and not self.open_access:
            raise ValueError(
                "nobody could ask: name a file of API keys in `keys` (`copylens keys new NAME` "
                "prints a line for it), or set open_access where only trusted clients can connect"
            )
        if self.keys is not None and self.open_access:
            raise ValueError("keys and open_access contradict each other; set one")
        return self
