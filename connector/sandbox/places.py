"""What a contract says of each place in a body, cut down to what leads to an annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from connector.validation.explain import lookup, pointer
from connector.validation.schema import Schema

#: The keywords that a contract has beside those of JSON Schema.
ANNOTATIONS = ("person", "identifier", "wire", "operation", "parameter", "key")

# What may stand behind a keyword, and holds only for some instances.
_ALTERNATIVES = ("anyOf", "oneOf")
_FILE = "contract.json"


def node_of(contract: Any) -> Node | None:
    """Compile a contract (or True); None when nothing in it leads to an annotation."""
    return _Compiler(contract).node("", "")


class _Branch(NamedTuple):
    """What counts where a test holds, and where it does not."""

    test: Schema
    holds: Node | None
    fails: Node | None


class Node:
    """What a contract says of one place, as far as it leads to an annotation.

    `known` are the member names that `other` does not cover; `first` are the nodes of the first
    elements of a list, `items` that of the others. `name` is that of the nearest member.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.person = False
        self.identifier: str | bool | list[str] = False
        self.wire: Any = None
        self.operation: Any = None
        self.parameter = ""
        self.key = ""
        self.members: dict[str, Node] = {}
        self.known: frozenset[str] = frozenset()
        self.other: Node | None = None
        self.first: tuple[Node | None, ...] = ()
        self.items: Node | None = None
        self.branches: tuple[_Branch, ...] = ()
        self._held: dict[tuple[bool, ...], Node] = {}

    def holding(self, instance: Any) -> Node:
        """Return the node of what holds for an instance."""
        if not self.branches:
            return self
        holds = tuple(branch.test.is_valid(instance) for branch in self.branches)
        if holds not in self._held:
            self._held[holds] = self._held_by(holds)
        return self._held[holds].holding(instance)

    def _held_by(self, holds: Sequence[bool]) -> Node:
        node = Node(self.name)
        node.take(self)
        node.branches = ()
        for branch, result in zip(self.branches, holds, strict=True):
            more = branch.holds if result else branch.fails
            if more is not None:
                node.take(more)
        return node

    def children(self, instance: Any) -> list[tuple[Any, Node, Any]]:
        """Return key, node and value of the members or elements that lead further.

        Their order is the contract's, or that of the names: not that of an object's members.
        """
        if instance.__class__ is dict:
            return self._members_of(instance)
        if instance.__class__ is not list or (self.items is None and not self.first):
            return []
        children = []
        for index, value in enumerate(instance):
            node = self.first[index] if index < len(self.first) else self.items
            if node is not None:
                children.append((index, node.holding(value), value))
        return children

    def _members_of(self, instance: Mapping[str, Any]) -> list[tuple[Any, Node, Any]]:
        children = []
        for name, node in self.members.items():
            if name in instance:
                value = instance[name]
                children.append((name, node.holding(value), value))
        if self.other is not None:
            for name in sorted(instance.keys() - self.known):
                value = instance[name]
                node = self.other.holding(value)
                children.append((name, node.named(name), value))
        return children

    def named(self, name: str) -> Node:
        """Return this node for a member of this name, which names its identifiers."""
        if self.identifier is not True:
            return self
        node = Node(name)
        node.take(self)
        node.name = name
        return node

    def take(self, other: Node) -> None:
        """Add what another node says of the same place."""
        self.person = self.person or other.person
        self.identifier = other.identifier or self.identifier
        self.wire = other.wire or self.wire
        self.operation = other.operation or self.operation
        self.parameter = other.parameter or self.parameter
        self.key = other.key or self.key
        self.branches += other.branches

        members: dict[str, Node] = {}
        known = self.known | other.known
        for name in (*self.members, *other.members, *sorted(known)):
            node = _both(self._member(name), other._member(name))
            if node is not None:
                members.setdefault(name, node)
        self.members, self.known = members, known
        self.other = _both(self.other, other.other)

        first = []
        for index in range(max(len(self.first), len(other.first))):
            first.append(_both(self._element(index), other._element(index)))
        self.first = tuple(first)
        self.items = _both(self.items, other.items)

    def _member(self, name: str) -> Node | None:
        return self.members.get(name) if name in self.known else self.other

    def _element(self, index: int) -> Node | None:
        return self.first[index] if index < len(self.first) else self.items

    @property
    def is_empty(self) -> bool:
        """Whether nothing here leads to an annotation."""
        own = self.person or self.identifier or self.wire or self.operation
        below = self.members or self.other or self.items or any(self.first) or self.branches
        return not (own or self.parameter or self.key or below)

    def _below(self) -> Iterator[Node]:
        parts = [*self.members.values(), self.other, *self.first, self.items]
        for branch in self.branches:
            parts += branch.holds, branch.fails
        for part in parts:
            if part is not None:
                yield part

    @cached_property
    def flat(self) -> Mapping[str, str]:
        """The wire key of each member, where all members that lead on are identifiers.

        Empty where there is more.
        """
        if self.other or self.identifier or self.branches:
            return {}
        wires = {}
        for name, node in self.members.items():
            if node.has_children or not node.identifier or isinstance(node.identifier, list):
                return {}
            wires[name] = name if node.identifier is True else str(node.identifier)
        return wires

    @cached_property
    def is_crowd(self) -> bool:
        """Whether this is a list of people that have nothing but identifiers as members."""
        items = self.items
        if items is None or self.first or items.branches:
            return False
        return items.person and bool(items.flat) and not items.speaks

    @cached_property
    def has_children(self) -> bool:
        """Whether something below leads further."""
        return any(True for _ in self._below())

    @cached_property
    def has_people(self) -> bool:
        """Whether people may stand here or below."""
        return self.person or any(node.has_people for node in self._below())

    @cached_property
    def leads_to_people(self) -> bool:
        """Whether people or identifiers may stand here or below."""
        own = self.person or bool(self.identifier)
        return own or any(node.leads_to_people for node in self._below())

    @cached_property
    def speaks(self) -> bool:
        """Whether something here or below may speak for people beside it."""
        own = isinstance(self.operation, dict) or self.wire or self.parameter or self.key
        return bool(own) or any(node.speaks for node in self._below())


def _both(one: Node | None, other: Node | None) -> Node | None:
    if one is None or other is None:
        return one or other
    node = Node(one.name)
    node.take(one)
    node.take(other)
    return node


class _Compiler:
    """Makes nodes of the places of one contract."""

    def __init__(self, contract: Any) -> None:
        self._contract = contract
        self._open: list[str] = []

    def node(self, place: str, name: str) -> Node | None:
        """Return the node of a place (a JSON pointer), None when nothing leads to an annotation."""
        schema = lookup(self._contract, place)
        if not isinstance(schema, dict) or place in self._open:
            return None
        self._open.append(place)
        node = Node(name)
        self._annotations(schema, node)
        self._object(schema, place, node)
        self._list(schema, place, node)
        self._combinators(schema, place, node)
        self._open.pop()
        return None if node.is_empty else node

    def _annotations(self, schema: Mapping[str, Any], node: Node) -> None:
        for keyword in ANNOTATIONS:
            if keyword in schema:
                setattr(node, keyword, schema[keyword])

    def _object(self, schema: Mapping[str, Any], place: str, node: Node) -> None:
        properties = schema.get("properties", {})
        node.known = frozenset(properties)
        for name in properties:
            member = self.node(place + pointer(["properties", name]), name)
            if member is not None:
                node.members[name] = member
        if "additionalProperties" in schema:
            node.other = self.node(f"{place}/additionalProperties", "")

    def _list(self, schema: Mapping[str, Any], place: str, node: Node) -> None:
        first = []
        for index, _ in enumerate(schema.get("prefixItems", ())):
            first.append(self.node(f"{place}/prefixItems/{index}", node.name))
        node.first = tuple(first)
        if "items" in schema:
            node.items = self.node(f"{place}/items", node.name)

    def _combinators(self, schema: Mapping[str, Any], place: str, node: Node) -> None:
        ref = schema.get("$ref", "")
        also = [ref.removeprefix("#")] if ref.startswith("#") else []
        also += [f"{place}/allOf/{index}" for index, _ in enumerate(schema.get("allOf", ()))]
        for other in also:
            more = self.node(other, node.name)
            if more is not None:
                node.take(more)

        for keyword in _ALTERNATIVES:
            for index, _ in enumerate(schema.get(keyword, ())):
                alternative = f"{place}/{keyword}/{index}"
                self._branch(node, alternative, self.node(alternative, node.name), None)
        if "if" in schema:
            holds = None
            for keyword in ("if", "then"):
                if keyword in schema:
                    holds = _both(holds, self.node(f"{place}/{keyword}", node.name))
            fails = self.node(f"{place}/else", node.name) if "else" in schema else None
            self._branch(node, f"{place}/if", holds, fails)

    def _branch(self, node: Node, test: str, holds: Node | None, fails: Node | None) -> None:
        if holds is not None or fails is not None:
            schema = Schema({"$ref": f"{_FILE}#{test}"}, {_FILE: self._contract})
            node.branches += (_Branch(schema, holds, fails),)
