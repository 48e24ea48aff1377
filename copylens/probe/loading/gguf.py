"""GGUF files: dequantised once per machine into a folder that every worker then maps."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from copylens.errors import ProbeError, one_line
from copylens.store import storage


def cache_folder() -> Path:
    """Where dequantised LMs are kept: $COPYLENS_CACHE, else copylens/ in the user's cache."""
    own = os.environ.get("COPYLENS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "copylens")


def dequantised(file: Path, dtype: str) -> Path:
    """The folder that holds a GGUF file's LM with plain weights, made at the first call.

    It is named by the file's hash and the type of its weights, and shared by all processes: the
    first makes it while the others wait. It takes as much disk as the weights.

    Args:
        dtype: of the weights: float32, bfloat16 or float16.

    Raises:
        ProbeError: no GGUF file, damaged, or of an architecture that transformers cannot read.
    """
    from filelock import FileLock

    folder = cache_folder() / "lms" / f"{storage.sha256_of_file(file)[:24]}-{dtype}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _dequantise(file, folder, dtype)
    return folder


def _dequantise(file: Path, folder: Path, dtype: str) -> None:
    """Writes beside the folder and renames: a call that is killed leaves nothing half made."""
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _save_plain(file, aside, dtype)
        aside.rename(folder)
    # A file from anywhere: what its bytes can make a reader raise has no common kind.
    except Exception as error:
        raise ProbeError(f"'{file}' cannot be read as GGUF: {one_line(error)[:200]}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _save_plain(file: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    named: dict[str, Any] = {"gguf_file": file.name}
    AutoTokenizer.from_pretrained(file.parent, **named).save_pretrained(folder)
    # In float32, its own precision: asked for another one transformers warns about its speed.
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **named)
    # As it comes it counts as quantised, and transformers does not save such a model.
    settings = model.config
    del settings.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(settings, dtype=getattr(torch, dtype))
    weights = model.state_dict().items()
    plain.load_state_dict({name: w.to(plain.dtype) for name, w in weights}, assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)
