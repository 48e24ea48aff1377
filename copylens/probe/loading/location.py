"""Where an LM lies: a folder, a hub id, a GGUF file, or what an installed distribution ships."""

from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import cast

from copylens.config.schema import ProbeConfig
from copylens.corpus.sources.distributions import license_of
from copylens.errors import ProbeError
from copylens.store.installed import distribution, not_installed

DIST = "dist://"


@dataclass(frozen=True)
class Location:
    """An LM's place.

    Attributes:
        path: a folder, a GGUF file, or None for an LM of the hub.
        hub: its id there, or None.
        source: what a person would call it: the hub id, `NAME==VERSION` of a distribution, or the
            path.
        license: as the distribution's metadata have it; None where only the LM itself may tell.
    """

    path: Path | None
    hub: str | None
    source: str
    license: str | None = None

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are one GGUF file."""
        return self.path is not None and self.path.suffix == ".gguf"


def locate(config: ProbeConfig) -> Location:
    """Where the LM lies that `probe.model` names; nothing is loaded.

    Raises:
        ProbeError: it names none; a file or distribution is not there, or ships no LM or several.
    """
    if not config.model:
        raise ProbeError(
            "probe.model names no LM; name a folder, a .gguf file, dist://DISTRIBUTION or a hub id "
            "(shares alone can do without: channels.attention=false)"
        )
    if config.model.startswith(DIST):
        return _shipped(config.model)
    path = Path(config.model)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ProbeError(f"probe.model: there is no file '{path}'")
        return Location(path, None, str(path))
    if not path.is_dir():
        return Location(None, config.model, config.model)
    return Location(_weights_in(path), None, str(path))


def _weights_in(folder: Path) -> Path:
    """The folder, or its GGUF file if that is all it holds."""
    files = sorted(folder.glob("*.gguf"))
    if not files or (folder / "config.json").is_file():
        return folder
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ProbeError(f"'{folder}' holds several GGUF files ({names}); name one of them")
    return files[0]


def _shipped(uri: str) -> Location:
    """The LM that a distribution ships: `dist://NAME`, or `dist://NAME/path/in/it`."""
    name, _, inside = uri.removeprefix(DIST).partition("/")
    found = distribution(name)
    if found is None:
        # What an LM is packed with builds servers of its own; only its files are wanted.
        raise ProbeError(not_installed(uri, name, options="--no-deps "))
    files = {str(file): Path(str(file.locate())) for file in found.files or []}
    places = {path for path in files.values() if path.suffix == ".gguf"}
    weighted = {path.parent for path in files.values() if path.suffix == ".safetensors"}
    places |= {folder for folder in weighted if (folder / "config.json").is_file()}
    if inside:
        places = {place for place in places if place.as_posix().endswith(f"/{inside.rstrip('/')}")}
    if not places:
        raise ProbeError(f"'{uri}' ships no LM: no .gguf file, no config.json with safetensors")
    if len(places) > 1:
        names = ", ".join(sorted(place.name for place in places))
        raise ProbeError(f"'{uri}' ships several LMs ({names}); append the path of one")
    # Typed as a protocol without .get_all defaults; it is an email.message.Message.
    named_license = license_of(cast(Message, found.metadata))
    return Location(places.pop(), None, f"{name}=={found.version}", named_license)
