"""The digest of a destination's files: equal when they say the same about what is sent."""

from __future__ import annotations

import hashlib

from connector.definitions.model import Destination


def definition_digest(destination: Destination) -> str:
    """Return the SHA-256 digest of all files that say what is sent, as hexadecimal digits."""
    folder = destination.document.folder
    files = [folder.standard, *folder.path.glob("*.json"), *destination.templates.rglob("*")]
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
