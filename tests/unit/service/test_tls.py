"""A certificate and a key that cannot be served: what is wrong is said, and of which of them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.errors import ConfigError
from connector.service.tls import server_context
from tests.kit.certificates import certified, encrypted


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = certified(tmp_path_factory.mktemp("pem"))
    encrypted(folder / "key.pem")
    other = certified(tmp_path_factory.mktemp("other"))
    (folder / "other.pem").write_bytes((other / "key.pem").read_bytes())
    content = (folder / "certificate.pem").read_text("utf-8")
    (folder / "damaged.pem").write_text(content.replace("M", "?"), "utf-8")
    (folder / "empty.pem").write_text("", "utf-8")
    (folder / "folder").mkdir()
    return folder


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("certificate", "encrypted", "--tls-key: the key is encrypted; give an unencrypted key"),
        ("certificate", "other", "--tls-key: is not the key of the certificate; give the key of"),
        ("certificate", "missing", "--tls-key: cannot be read: No such file or directory; name"),
        ("certificate", "certificate", "--tls-key: there is no private key in this file; name"),
        ("certificate", "folder", "--tls-key: cannot be read: Is a directory"),
        ("missing", "key", "--tls-cert: cannot be read: No such file or directory; name a file"),
        ("key", "key", "--tls-cert: there is no certificate in this file"),
        ("empty", "key", "--tls-cert: there is no certificate in this file"),
        ("damaged", "key", "--tls-cert: the certificate, its chain or its key is damaged"),
    ],
)
def test_what_is_wrong(pem: Path, certificate: str, key: str, message: str) -> None:
    names = {"folder": "folder"}
    paths = [pem / names.get(name, f"{name}.pem") for name in (certificate, key)]
    with pytest.raises(ConfigError) as caught:
        server_context(*paths)
    assert str(caught.value).startswith(f"C047 {message}")


def test_old_versions_are_not_spoken(pem: Path) -> None:
    context = server_context(pem / "certificate.pem", pem / "key.pem")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
