"""Certificates for servers on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certified(folder: Path) -> Path:
    """Put a certificate for 127.0.0.1, which is its own authority, and its key into a folder."""
    command = [
        "openssl", "req", "-x509", "-nodes", "-days", "2",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return folder


def encrypted(key: Path) -> Path:
    """Write a key once more, under a password."""
    target = key.with_name("encrypted.pem")
    command = ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:x", "-out"]
    subprocess.run([*command, str(target)], check=True, capture_output=True)
    return target
