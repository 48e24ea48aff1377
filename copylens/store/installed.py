"""Installed Python distributions, by the name that `dist://NAME` gives them."""

import difflib
import re
from importlib import metadata


def distribution(name: str) -> metadata.Distribution | None:
    """The distribution of this name, or None where it is not installed."""
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def canonical(name: str) -> str:
    """A distribution's name in the one spelling that package indexes use."""
    return re.sub(r"[-_.]+", "-", name).lower()


def not_installed(uri: str, name: str, options: str = "") -> str:
    """What to tell of a distribution that is not there: how to install it, and near names.

    Args:
        options: of `pip install`, with a blank at the end.
    """
    installed = {canonical(str(d.metadata["Name"])) for d in metadata.distributions()}
    near = difflib.get_close_matches(canonical(name), sorted(installed), n=3, cutoff=0.5)
    hint = f"; near names: {', '.join(near)}" if near else ""
    advice = f"run `pip install {options}{name}`"
    return f"'{uri}': no distribution '{name}' is installed; {advice}{hint}"
