"""URI -> source: chooses the reader by scheme, file type and folder content."""

from typing import Literal

from copylens.config.schema import CorpusConfig
from copylens.corpus.sources.distributions import open_distribution
from copylens.corpus.sources.files import list_source
from copylens.corpus.sources.hub import SAVED_MARKS, open_hub
from copylens.corpus.sources.readers import DATA_SUFFIXES, FileSource
from copylens.corpus.sources.rows import Source
from copylens.corpus.sources.textfolder import TEXT_SUFFIXES, TextFolderSource
from copylens.errors import CorpusError

Kind = Literal["registered", "ood", "background"]

ACCEPTED = (
    f"it takes {', '.join(DATA_SUFFIXES)}, a folder of them or of {'/'.join(TEXT_SUFFIXES)} files, "
    "a glob, hf://NAME or dist://NAME"
)


def open_source(uri: str) -> Source:
    """Opens one entry; reads no rows yet.

    Raises:
        CorpusError: nothing is there, or nothing that can be read as a corpus.
    """
    if uri.startswith("dist://"):
        return open_distribution(uri)
    if uri.startswith("hf://"):
        return open_hub(uri)
    listing = list_source(uri)
    data = tuple(file for file in listing.files if file.name.endswith(DATA_SUFFIXES))
    if data:
        # A README beside data files is no passage, so data files win over text files.
        return FileSource(uri, data)
    if listing.is_file:
        raise CorpusError(f"'{uri}' is no corpus file; {ACCEPTED}")
    if any(file.name.endswith(SAVED_MARKS) for file in listing.files):
        raise CorpusError(f"'{uri}' looks saved by `datasets`; write it as hf://{uri}")
    texts = tuple(file for file in listing.files if file.name.endswith(TEXT_SUFFIXES))
    if not texts:
        raise CorpusError(f"'{uri}' holds no corpus file; {ACCEPTED}")
    return TextFolderSource(uri, texts, listing.base)


def open_sources(config: CorpusConfig) -> list[tuple[Kind, Source]]:
    """Opens every entry of the config, so that a wrong path is an error before anything is read.

    Raises:
        CorpusError: there is no registered source, or one cannot be opened.
    """
    if not config.paths:
        raise CorpusError(
            "corpus.paths is empty; name the registered sources, e.g. corpus.paths=[data.jsonl]"
        )
    entries: dict[Kind, tuple[str, ...]] = {
        "registered": config.paths,
        "ood": config.ood_paths,
        "background": config.background_paths,
    }
    return [(kind, open_source(uri)) for kind, uris in entries.items() for uri in uris]
