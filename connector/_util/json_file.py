"""Read JSON files; an error names the line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from connector._util.depth import MAX_DEPTH_OF_FILES, is_deeper
from connector.errors import DefinitionError, Problem


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raise DefinitionError (D101) when it cannot be read."""
    try:
        content = orjson.loads(path.read_bytes())
        if not is_deeper(content, MAX_DEPTH_OF_FILES):
            return content
        message = f"is nested more than {MAX_DEPTH_OF_FILES} levels deep"
    except FileNotFoundError:
        message = "file not found"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except orjson.JSONDecodeError as error:
        message = f"invalid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    problem = Problem("D101", str(path), "", message)
    raise DefinitionError([problem])
