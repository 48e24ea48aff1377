"""What pins an LM: a hash over all that changes what it computes; its source and licence."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError
from copylens.probe.loading.location import locate
from copylens.store import storage

# Weights, tokenizer, configuration, chat template; no model card, and no optimiser state.
_COUNTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
_LICENSE_LINE = re.compile(r"^license:\s*['\"]?([\w.\-+ ]+)", re.MULTILINE)


@dataclass(frozen=True)
class LmIdentity:
    """An LM as the registry, the page and a statement name it.

    Attributes:
        hash: sha256 over weights, tokenizer, configuration, chat template and adapter; the commit
            in place of the files for an LM of the hub.
        source: the hub id, distribution and version, or path.
        license: "unknown" where neither the files nor a distribution's metadata tell.
    """

    hash: str
    source: str
    license: str


def lm_hash(config: ProbeConfig) -> str:
    """The hash of `lm_identity`; nothing is loaded, so that a driver can check it first.

    Raises:
        ProbeError: the LM or its adapter is not there, or holds no weights.
    """
    parts = [_hash(config)]
    if config.adapter:
        parts.append(_hash(config.model_copy(update={"model": config.adapter, "revision": None})))
    return parts[0] if len(parts) == 1 else _joined(parts)


def lm_identity(config: ProbeConfig) -> LmIdentity:
    """Hash, source and licence of the LM."""
    place = locate(config)
    source = place.source + (f" with {config.adapter}" if config.adapter else "")
    return LmIdentity(lm_hash(config), source, place.license or _license_in(place.path))


def _hash(config: ProbeConfig) -> str:
    place = locate(config)
    if place.path is None:
        return _commit(config)
    if place.is_gguf:
        return storage.sha256_of_file(place.path)
    files = sorted({file for pattern in _COUNTS for file in place.path.glob(pattern)})
    if not any(file.suffix in (".safetensors", ".bin") for file in files):
        raise ProbeError(f"'{config.model}' holds no weights (*.safetensors)")
    return _joined([f"{file.name} {storage.sha256_of_file(file)}" for file in files])


def _joined(parts: list[str]) -> str:
    return storage.sha256("\n".join(parts).encode())


@lru_cache(maxsize=8)
def _commit(config: ProbeConfig) -> str:
    """The commit that the hub's id and revision stand for."""
    # Brings torch, which the hash of a folder needs not.
    from copylens.probe.lm import settings_of

    return str(settings_of(config)._commit_hash)


def _license_in(path: Path | None) -> str:
    """What the model card's header says, if there is one beside the weights."""
    card = None if path is None else (path if path.is_dir() else path.parent) / "README.md"
    if card is None or not card.is_file():
        return "unknown"
    found = _LICENSE_LINE.search(card.read_text("utf-8", errors="replace")[:4000])
    return found.group(1).strip() if found else "unknown"
