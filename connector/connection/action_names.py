"""Which action is meant by an unknown name: one that does the same, and then the nearest one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.definitions.model import Action
from connector.errors import nearest

#: What people write for an operation, which stands first.
_WORDS = {
    "add": ("add", "insert", "upsert", "append"),
    "remove": ("remove", "delete", "drop", "erase"),
}


def nearest_action(name: str, actions: Mapping[str, Action]) -> str:
    """Return the hint for an unknown action: the known ones, and which of them may be meant."""
    for operation, words in _WORDS.items():
        # a word begins where no letter is before it
        meant, count = re.subn(rf"(?<![a-z])({'|'.join(words)})", operation, name.lower(), count=1)
        if count:
            same = [known for known, action in actions.items() if action.operation == operation]
            return nearest(meant, actions, same)
    return nearest(name, actions)
