"""JSON Schema (2020-12): a fast yes or no, and failures in our own words.

`jsonschema_rs` decides. `jsonschema` is asked only about values that were refused: it finds where
and why, and `explain` says it without quoting the value. Regular expressions are left to
`jsonschema_rs` even then: Python's engine may take time without end on a short text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import jsonschema_rs

from connector.validation.explain import Failure, failures, pointer
from connector.validation.patterns import MOST_STEPS, PATTERN_KEYWORDS, compile_pattern

#: A keyword of ours: members of an object whose values ascend, as far as they are there.
ASCENDING = "ascending"

# jsonschema_rs resolves relative references against this.
_BASE = "json-schema:///"


class Schema:
    """A compiled JSON Schema."""

    def __init__(self, schema: Any, resources: Mapping[str, Any] | None = None) -> None:
        """Compile a schema; `resources` are the files that its `$ref`s name.

        Raise ValueError for what is not JSON Schema.
        """
        self._schema = schema
        self._resources = resources or {}
        registry = None
        if self._resources:
            files = [(_BASE + name, content) for name, content in self._resources.items()]
            registry = jsonschema_rs.Registry(files)
        self._validator = jsonschema_rs.Draft202012Validator(
            schema,
            registry=registry,
            keywords={ASCENDING: _Ascending},
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=MOST_STEPS),
        )

    def is_valid(self, value: Any) -> bool:
        """Return whether a value satisfies the schema.

        A value without a JSON form satisfies none.
        """
        try:
            return self._validator.is_valid(value)
        except ValueError:
            # half of a surrogate pair, or nested too deeply
            return False

    def failures(self, value: Any, *, quote: bool = False) -> list[Failure]:
        """Return why a value is not valid, in the order of the value; empty when it is valid.

        `quote` allows single words of the value in the texts: for files of an author, never for
        data or for what a customer writes.
        """
        if self.is_valid(value):
            return []
        try:
            if self._has_patterns_to_evaluate:
                explained = self._explained_by_keyword(value)
            else:
                explained = failures(self._explainer, value, quote=quote)
        except RecursionError:
            explained = []
        # the validators differ in corners: Python's `$` lets a final line break pass
        return explained or [_unexplained(value)]

    @cached_property
    def _has_patterns_to_evaluate(self) -> bool:
        """Whether `jsonschema` would use Python's engine to find what is evaluated."""
        text = json.dumps([self._schema, *self._resources.values()])
        return '"unevaluatedProperties"' in text and '"patternProperties"' in text

    def _explained_by_keyword(self, value: Any) -> list[Failure]:
        """Return the failures that `jsonschema_rs` finds: where, and by which keyword."""
        found = []
        for error in self._validator.iter_errors(value):
            keyword = str(error.kind.name)
            message = f"has an invalid format ('{keyword}')"
            found.append(Failure(keyword, pointer(error.instance_path), message))
        return sorted(found, key=lambda failure: failure.pointer)

    @cached_property
    def _explainer(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import ValidationError
        from jsonschema.validators import extend
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        def check_ascending(
            _validator: Any, names: Any, instance: Any, _schema: Any
        ) -> Iterator[ValidationError]:
            if not is_ascending(names, instance):
                yield ValidationError("")

        registry: Any = Registry()
        for name, content in self._resources.items():
            registry = registry.with_resource(name, DRAFT202012.create_resource(content))
        validator: Any = extend(  # type: ignore[no-untyped-call]
            Draft202012Validator,
            {ASCENDING: check_ascending, **PATTERN_KEYWORDS},
        )
        return validator(self._schema, registry=registry)


class _Ascending:
    """The keyword for jsonschema_rs."""

    def __init__(self, parent_schema: Any, value: Any, schema_path: Any) -> None:
        self._names = value

    def validate(self, instance: Any) -> None:
        """Raise ValueError when the values do not ascend."""
        if not is_ascending(self._names, instance):
            raise ValueError


def is_ascending(names: Sequence[str], instance: Any) -> bool:
    """Return whether each of these members, as far as there, is more than the one before it.

    Only texts, or only numbers, are compared.
    """
    if not isinstance(instance, dict):
        return True
    values = [instance[name] for name in names if name in instance]
    texts = all(isinstance(value, str) for value in values)
    numbers = all(isinstance(value, int | float) for value in values)
    if not texts and not numbers:
        return True
    return all(one < other for one, other in pairwise(values))


def _unexplained(value: Any) -> Failure:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Failure("", "", "contains an unpaired surrogate")
    except (TypeError, ValueError, RecursionError):
        pass
    return Failure("pattern", "", "has an invalid format")


def schema_failures(document: Any) -> list[Failure]:
    """Return why a document is not JSON Schema; empty when it is."""
    try:
        jsonschema_rs.meta.validate(document)
    except (ValueError, jsonschema_rs.ReferencingError):
        from jsonschema import Draft202012Validator

        meta_schema = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        explained = failures(meta_schema, document, quote=True)
        return explained or [Failure("pattern", "", "has an invalid format")]
    return []


def is_pattern(text: str) -> bool:
    """Return whether a text is a regular expression, of the syntax that Python shares."""
    try:
        re.compile(text)
        compile_pattern(text)
    except (re.error, ValueError):
        return False
    return True
