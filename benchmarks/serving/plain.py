"""What a service is compared with: FastAPI, one scorer, one request at a time."""

import asyncio
import sys
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel


class _Request(BaseModel):
    text: str


def create(bundle: str, probe: str | None) -> FastAPI:
    """The application; its scorer is loaded and warm."""
    import torch

    from copylens.verdict.scorer import Scorer

    torch.set_num_threads(1)
    scorer = Scorer.load(bundle, probe=probe)
    scorer.verdicts(["The quick brown fox jumps over the lazy dog. " * 8])
    turn = asyncio.Lock()
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/v1/attribute")
    async def attribute(body: _Request) -> dict[str, Any]:
        async with turn:
            verdicts = await asyncio.to_thread(scorer.verdicts, [body.text])
        return verdicts[0].to_dict()

    return app


def _main() -> None:
    import uvicorn

    bundle, probe, port = sys.argv[1:]
    app = create(bundle, probe or None)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    _main()
