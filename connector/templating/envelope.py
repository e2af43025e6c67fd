"""Envelopes: the body of a request around its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.templating.template import Template
from connector.templating.values import Items


class Envelope:
    """Renders a body from groups of items, which are JSON already."""

    NAMES = ("groups", "items", "operation", "params", "settings", "share")

    def __init__(self, template: Template, settings: Mapping[str, Any]) -> None:
        self._template = template
        self._settings = settings

    def render(
        self, groups: Sequence[Mapping[str, Any]], shared: Mapping[str, Any], operation: str
    ) -> bytes:
        """Return the body. Raise RenderError.

        Each group has its own keys, and `items`: a list of JSON bytes. `shared` is what all records
        of the request have in common: `params` and `share`.
        """
        all_items = Items()
        wrapped_groups = []
        for group in groups:
            items = Items(group["items"])
            all_items.extend(items)
            wrapped_groups.append({**group, "items": items})

        context = {
            "groups": wrapped_groups,
            "items": all_items,
            "operation": operation,
            "settings": self._settings,
            **shared,
        }
        return self._template.render(context)
