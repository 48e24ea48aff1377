"""Listens to a module's calls, as torch's hooks do, at a fraction of their cost.

A module with a hook takes torch's slow way at every call. Beside a small LM that writes token by
token the hooks of a probe so took 2 % of its time.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

Before = Callable[[tuple[Any, ...], Mapping[str, Any]], None]
After = Callable[[Any], None]


class _Ears:
    """Stands where a module's `forward` was, as long as anybody listens."""

    def __init__(self, module: nn.Module):
        self._module = module
        self._own = vars(module).get("forward")  # where somebody else has replaced it already
        self.__wrapped__ = module.forward  # whoever asks for the signature gets the real one
        self.before: dict[object, Before] = {}
        self.after: dict[object, After] = {}

    def __call__(self, *args: Any, **named: Any) -> Any:
        for hear in tuple(self.before.values()):
            hear(args, named)
        output = self.__wrapped__(*args, **named)
        for tell in tuple(self.after.values()):
            tell(output)
        return output

    def leave(self) -> None:
        """Puts `forward` back if nobody listens any more."""
        if self.before or self.after:
            return
        if self._own is None:
            del self._module.forward
        else:
            self._module.forward = self._own


def listen(
    module: nn.Module, before: Before | None = None, after: After | None = None
) -> Callable[[], None]:
    """Calls `before` with a module's arguments and `after` with its output, at every call.

    Returns:
        What ends it. Several may listen, and end in any order.
    """
    ears = vars(module).get("forward")
    if not isinstance(ears, _Ears):
        ears = _Ears(module)
        module.forward = ears
    key = object()
    if before is not None:
        ears.before[key] = before
    if after is not None:
        ears.after[key] = after

    def end() -> None:
        ears.before.pop(key, None)
        ears.after.pop(key, None)
        ears.leave()

    return end
