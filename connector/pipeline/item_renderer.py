"""How the item template of an action is put together, for records and for lint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.definitions.model import Action
from connector.templating.items import ItemRenderer
from connector.templating.template import Template, read_template

# Without a template, an item is the object of all identifiers.
_DEFAULT_ITEM = "{{ ids }}"


def item_renderer(action: Action, templates: Path, settings: Mapping[str, Any]) -> ItemRenderer:
    """Return what renders the items of an action.

    Raise RenderError for a template that is not allowed.
    """
    template = item_template(action, templates)
    shared = {"operation": action.operation, "settings": settings}
    return ItemRenderer(template, action.wires, plain_wires(action), shared)


def item_template(action: Action, templates: Path) -> Template:
    """Return the template of an action's items. Raise RenderError for one that is not allowed."""
    return read_template(templates, action.item, _DEFAULT_ITEM, ItemRenderer.NAMES)


def plain_wires(action: Action) -> set[str]:
    """Return the wire keys whose values are not digests."""
    return {identifier.wire for identifier in action.identifiers if identifier.hash == "none"}
