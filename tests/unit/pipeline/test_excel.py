"""What spreadsheets make of a customer's ids and names: errors, words for no value, rounded numbers."""

from __future__ import annotations

import pytest

from connector._util.words import is_placeholder, truth, why_no_value
from connector.definitions.model import Identifier
from connector.pipeline.columns import column
from connector.pipeline.dropped import Dropped, DroppedError
from connector.pipeline.identifiers import identify
from connector.pipeline.normalise import STEPS

ERRORS = [
    "#NV", "#WERT!", "#BEZUG!", "#ZAHL!", "#NULL!", "#DIV/0!", "#NAME?", "#\u00dcBERLAUF!", "#VALEUR!", "#NOM?", "#NOMBRE!",
    "#\u00a1VALOR!", "#\u00bfNOMBRE?", "#N/D", "#N/D!", "#RIF!", "#LICZBA!", "#WAARDE!", "#DEEL/0!", "#I/T", "#SAKNAS!",
    "#\u0417\u041d\u0410\u0427!", "#\u041d/\u0414", "#\u0414\u0415\u041b/0!", "#YOK", "#DE\u011eER!", "#HI\u00c1NYZIK", "#wert!",
    "#####", "#GETTING_DATA",
]  # fmt: skip
WORDS = ["k.A.", "K.A.", "k. A.", "k.a.", "n.a.", "N.A.", "s.o.", "Keine Angabe", "keine angabe"]
ROUNDED = ["1,23E+15", "1.23E+15", "4,91512E+12", "1e+21", " 1E+15 "]
VALUES = [
    "#1", "#1234", "# 12", "#", "##", "#ann", "#x/yz", "1E15", "123E45", "12E+15", "E+1", "1.5", "4b61e+15", "a#WERT!",
    "C-17", "ND", "N.D.", "NA",
]  # fmt: skip

EXTERNAL = (("clean", None),)
NAME = (("clean", None), ("lowercase", None), ("remove_punctuation", None))


def identifier(steps: tuple[tuple[str, None], ...], hashing: str) -> Identifier:
    assert all(step in STEPS for step, _ in steps)
    return Identifier("p", "p", steps, hashing, prehashed=False, flag=None, source=None)


def expected(value: str, steps: tuple[tuple[str, None], ...]) -> str:
    if steps is NAME and not any(map(str.isalnum, value)):
        return "empty"
    if value in VALUES:
        return "sent"
    return "not_exact" if value in ROUNDED else "placeholder"


@pytest.mark.parametrize("hashing", ["none", "sha256"])
@pytest.mark.parametrize("steps", [EXTERNAL, NAME])
@pytest.mark.parametrize("value", [*ERRORS, *WORDS, *ROUNDED, *VALUES])
def test_one_by_one_and_many_at_a_time(
    value: str, steps: tuple[tuple[str, None], ...], hashing: str
) -> None:
    one = identifier(steps, hashing)
    try:
        became = identify(one, prehashed=False)(value) and "sent"
    except DroppedError as error:
        became = error.reason
    assert became == expected(value, steps)

    cells = column(one, prehashed=False)(["C-1", value, "C-2", f" {value}"])
    for cell in (cells[1], cells[3]):
        assert (cell.reason if isinstance(cell, Dropped) else "sent") == expected(value, steps)
    assert isinstance(cells[0], str)
    assert isinstance(cells[2], str)


def test_an_error_is_no_truth() -> None:
    assert truth("#WERT!") is False
    assert truth(" #NV") is False
    assert truth("#1") is None
    assert not is_placeholder("#1")
    assert why_no_value("+49") == ""
