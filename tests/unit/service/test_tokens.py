"""The token of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.errors import ConfigError
from connector.service.tokens import Token, token_of

TOKEN = "0123456789abcdef0123456789abcdef"
IN = [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN} "]
NOT_IN = [
    *("", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer{TOKEN}", f"Bearer\t{TOKEN}"),
    *(f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN},x"),
    *(f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN}\0", "Bearer \udcff", "Bearer " + "é" * 32),
]


@pytest.mark.parametrize("header", IN)
def test_the_token_as_callers_may_send_it(header: str) -> None:
    assert Token(TOKEN).is_in(header)


@pytest.mark.parametrize("header", NOT_IN)
def test_nothing_else_is_the_token(header: str) -> None:
    assert not Token(TOKEN).is_in(header)


@pytest.mark.parametrize(
    "content", ["short", "", "a space in the middle of it", "tab\t" * 9, "line\n" * 9, "é" * 32]
)
def test_a_token_that_no_header_can_hold(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content, "utf-8")
    with pytest.raises(ConfigError) as caught:
        token_of(f"file:{tmp_path / 'token'}")
    assert "C045 --token:" in str(caught.value)
    assert not content.strip() or content.strip() not in str(caught.value)


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n", f"{TOKEN}\r\n"])
def test_the_end_of_a_line_is_no_part_of_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    assert token_of(f"file:{tmp_path / 'token'}").is_in(f"Bearer {TOKEN}")
    assert TOKEN not in repr(token_of(f"file:{tmp_path / 'token'}"))
