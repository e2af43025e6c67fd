"""How deep values are nested. What Python does by recursion ends at a limit that is not ours."""

from __future__ import annotations

from typing import Any

#: How deep the objects and lists of a definition or a connection may be nested.
MAX_DEPTH_OF_FILES = 64


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether objects and lists are nested more than so many levels deep.

    Looks without recursion.
    """
    level = [value]
    for _ in range(levels):
        inner: list[Any] = []
        for one in level:
            if type(one) is dict:
                inner += one.values()
            elif type(one) is list:
                inner += one
        level = inner
        if not level:
            return False
    return any(type(one) in {dict, list} for one in level)
