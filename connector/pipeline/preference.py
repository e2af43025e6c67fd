"""Preference: which identifier counts where a person may have only one of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from connector.definitions.model import Action
from connector.pipeline.assembly import Cells
from connector.pipeline.columns import is_usable


class Preference(NamedTuple):
    """The parameter that counts, and those that do not when it has a usable value."""

    parameter: str
    others: frozenset[str]

    def apply(self, columns: list[Cells]) -> list[Cells]:
        """Return people's identifiers without those that do not count."""
        has_it: list[bool] = []
        for one in columns:
            if one.column.parameter == self.parameter:
                has_it = list(map(is_usable, one.cells))
        if not any(has_it):
            return columns

        kept: list[Cells] = []
        for one in columns:
            if one.column.parameter in self.others:
                cells = [None if has else cell for has, cell in zip(has_it, one.cells, strict=True)]
                kept.append(Cells(one.column, cells, set(map(type, cells))))
            else:
                kept.append(one)
        return kept


def preference(action: Action, settings: Mapping[str, Any]) -> Preference | None:
    """Return what the settings of a connection prefer, None when they prefer nothing."""
    parameter = settings.get(action.prefer) if action.prefer else None
    if parameter is None:
        return None

    others: set[str] = set()
    for alternative in action.schema.get("oneOf", ()):
        if parameter not in alternative["required"]:
            others.update(alternative["required"])
    return Preference(parameter, frozenset(others))
