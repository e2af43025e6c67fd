"""The keys of exports: HMAC-SHA-256 as Python's own, and no message that shows a key."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.connection.secrets import SecretRef
from connector.connection.store import FOLDER_VARIABLE, Login, Store
from connector.errors import ConfigError
from connector.exports.keys import hashes_of
from connector.pipeline.identifiers import KEYED, keyed_hash
from tests.kit.exports import KEY, MATCH, SECRET_BYTES, exporting, keyed
from tests.kit.records import tries


@given(st.binary(min_size=0, max_size=140), st.binary(max_size=200))
@tries(200)
def test_a_keyed_hash_is_pythons_hmac(key: bytes, message: bytes) -> None:
    expected = hmac.new(key, message, hashlib.sha256).hexdigest()
    hashing = keyed_hash(key)
    assert hashing.function(message).hexdigest() == expected
    assert hashing.function(message).hexdigest() == expected  # what is shared stays as it was
    assert hashing.is_digest(expected)


def test_the_vector_of_the_rfc() -> None:
    # RFC 4231, test case 2
    digest = keyed_hash(b"Jefe").function(b"what do ya want for nothing?").hexdigest()
    assert digest == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_digests_of_placeholders_depend_on_the_key() -> None:
    null = keyed("null")
    assert null in keyed_hash(SECRET_BYTES).of_placeholders
    assert null not in keyed_hash(b"another").of_placeholders


def test_the_key_is_base64_text_in_a_file(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    export = connection.exports["full_data_match"].export
    hashing = hashes_of(connection, export)[KEYED]
    assert hashing.function(b"ann@example.com").hexdigest() == keyed("ann@example.com")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; write the secret to it"),
        (KEY[:-1], "the key is not base64 text; store it as it came, and nothing else"),
        (KEY + "*", "the key is not base64 text; store it as it came, and nothing else"),
        (
            KEY[:32],
            "the key has 24 bytes, and 32 are expected; store all of its base64 text, and nothing else",
        ),
        (
            SECRET_BYTES.hex(),
            "the key has 48 bytes, and 32 are expected; it may be hex text: write the same bytes as base64",
        ),
        (
            f"{KEY}\n{KEY}",
            "the secret contains a line break or a control character; store the secret alone",
        ),
    ],
)
def test_a_wrong_key_is_explained_and_not_shown(tmp_path: Path, text: str, message: str) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    (tmp_path / "key").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        hashes_of(connection, connection.exports["full_data_match"].export)
    assert str(caught.value) == f"C216 connection#/credentials/partner_key: {message}"
    shown = repr(caught.value) + str(caught.getrepr(style="long", showlocals=False))
    assert KEY[:20] not in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (KEY, "the key is not hex text; it may be base64 text: write the same bytes as hex"),
        ("ab12", "the key has 2 bytes, and 32 are expected; store all of its hex text, and nothing else"),
        ("xyz", "the key is not hex text; store it as it came, and nothing else"),
    ],
)  # fmt: skip
def test_a_key_in_hex(tmp_path: Path, text: str, message: str) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    export = connection.exports["full_data_match"].export
    assert export.key
    export = replace(export, key=export.key._replace(encoding="hex"))
    (tmp_path / "key").write_text(SECRET_BYTES.hex().upper(), "utf-8")
    hashing = hashes_of(connection, export)[KEYED]
    assert hashing.function(b"ann@example.com").hexdigest() == keyed("ann@example.com")
    (tmp_path / "key").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        hashes_of(connection, export)
    assert str(caught.value) == f"C216 connection#/credentials/partner_key: {message}"


def test_a_key_that_is_no_text(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    (tmp_path / "key").write_bytes(SECRET_BYTES)
    with pytest.raises(ConfigError) as caught:
        hashes_of(connection, connection.exports["full_data_match"].export)
    assert str(caught.value) == (
        "C216 connection#/credentials/partner_key: "
        "the file is not UTF-8 text; write the secret to it as text"
    )


def test_neither_a_key_nor_what_is_made_of_it_shows_it(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    export = connection.exports["full_data_match"].export
    for one in (connection, connection.exports, export, export.key, hashes_of(connection, export)):
        for secret in (KEY[:12], repr(SECRET_BYTES)[2:12], SECRET_BYTES.hex()[:12]):
            assert secret not in repr(one)


def test_the_key_may_be_in_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "logins"))
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    connection = replace(connection, credentials={"partner_key": SecretRef("stored", "x")})
    export = connection.exports["full_data_match"].export
    with pytest.raises(ConfigError, match=r"C216 .*/partner_key: there is no login of this name"):
        hashes_of(connection, export)
    Store(tmp_path / "logins").write("x", Login("", "", {"partner_key": KEY}))
    hashing = hashes_of(connection, export)[KEYED]
    assert hashing.function(b"ann@example.com").hexdigest() == keyed("ann@example.com")


def test_sending_does_not_read_the_key(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError) as caught:
        connection.secrets()
    assert "partner_key" not in str(caught.value)
