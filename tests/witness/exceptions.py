"""Where a client and the sandbox, or a library and what we send, disagree for good, and why."""

from __future__ import annotations

from typing import NamedTuple

from tests.kit.junk import KINDS, wide


class Disagreement(NamedTuple):
    """What stays different: the file of the witness, the client, the step and the reason."""

    file: str
    client: str
    step: str
    reason: str


DISAGREEMENTS = (
    Disagreement(
        "python.test_x",
        "`twitter-ads`",
        "Ann, Ben and Cem",
        "The library speaks version 11 of the API, on a host of before. Its requests are those of "
        "version 12 but for the number, so the witness changes the number together with the host.",
    ),
    Disagreement(
        "python.test_linkedin",
        "`linkedin-api-client` (Python)",
        "with a wrong token",
        "The library looks for `elements` in every answer, so its error says that the answer could "
        "not be formatted, and nothing of what LinkedIn said. The witness reads the answer itself.",
    ),
    Disagreement(
        "python.test_google",
        "`google-ads-datamanager`",
        "Gil in Base64",
        "The sandbox compares identifiers as texts. Somebody who is added in Base64 and removed "
        "in hexadecimal is two people here, and one at Google.",
    ),
    Disagreement(
        "python.test_meta",
        "`facebook-business`",
        "with a device id that it hashes",
        "The library hashes MADID when it is told a list of keys. Meta's guide says that it is "
        "not hashed, and so the sandbox refuses a digest, where MADID is the only key: in a row of "
        "several the contract cannot tell whose cell it is. Only a call to Meta would settle it.",
    ),
    Disagreement(
        "npm.test_iterable",
        "`@iterable/api`",
        "with a text that is no address",
        "Iterable takes the others of such a request, and lists the text in `failedUpdates`. The "
        "sandbox applies a request as a whole or not at all.",
    ),
)


class Unread(NamedTuple):
    """A member of a body that a library does not write as it read it."""

    client: str
    member: str
    reason: str


UNREAD = (
    Unread(
        "`@iterable/api`",
        "channelUnsubscribe",
        "The client's schema lacks the member, and so leaves it out. Iterable's reference has it, "
        "and peers send it.",
    ),
    Unread(
        "`@iterable/api`",
        "listId",
        "An id of more than 2^53, which the reference allows (int64), is sent exactly as it was "
        "given. Node rounds it.",
    ),
)


GOOGLE = "`google-ads-datamanager-util`"
AUDIENCES = "`CustomAudience` of `facebook-business`"
EVENTS = "`serverside` of `facebook-business`"
NODE = "`facebook-nodejs-business-sdk`"

NAMES = ("first_name", "last_name")


class Difference(NamedTuple):
    """Values of parameters of which each of these libraries makes something else than we do."""

    clients: tuple[str, ...]
    parameters: tuple[str, ...]
    values: tuple[str, ...]
    reason: str


_BYTE_ORDER_MARK = "\ufeffann@example.com"
_EMAILS = tuple(one for one in KINDS["email"].spelled[2:] if one != _BYTE_ORDER_MARK)

#: What they take of the values that the table calls junk.
TAKES_JUNK = Difference(
    (GOOGLE, AUDIENCES, EVENTS, NODE),
    (),
    (),
    "What says nothing of a person is dropped here. The libraries look at little of a value: "
    "they take words for no value as names, and digits out of any text as a phone number; "
    "`CustomAudience` takes everything, the empty text too.",
)

DIFFERENCES = (
    Difference(
        (GOOGLE, AUDIENCES, EVENTS, NODE),
        ("email",),
        _EMAILS,
        "Quotes around an address, `mailto:`, invisible marks and letters of full width are no "
        "part of it. The libraries hash them too, or refuse the address.",
    ),
    Difference(
        (GOOGLE, AUDIENCES, EVENTS),
        ("email",),
        (_BYTE_ORDER_MARK,),
        "The same of a byte order mark, which is white space under node only.",
    ),
    Difference(
        (GOOGLE, AUDIENCES),
        ("phone",),
        ("0049 30 901820",),
        "00 in front is +. These two libraries keep the zeros.",
    ),
    Difference(
        (GOOGLE, AUDIENCES, EVENTS, NODE),
        ("phone",),
        ("+49 (0)30 901820", "+49030901820"),
        "The zero that is dialled only within Germany is no part of E.164. The libraries know no "
        "country's numbers.",
    ),
    Difference(
        (GOOGLE, AUDIENCES, EVENTS, NODE),
        ("phone",),
        (wide("+49 30 901820"),),
        "Digits of full width are digits. The libraries hash them as they are, or refuse them.",
    ),
    Difference(
        (EVENTS, NODE),
        ("phone",),
        ("+49\u00a030\u2011901820",),
        "Spaces and hyphens that do not break are spaces and hyphens. These two do not know them.",
    ),
    Difference(
        (GOOGLE,),
        NAMES,
        ("Anne-Marie", "O'Neil", "J.R."),
        "The library leaves punctuation in names. The reference of the field wants none.",
    ),
    Difference(
        (GOOGLE, EVENTS, NODE),
        NAMES,
        ("Jose\u0301", "A\u200bnn"),
        "A letter with its accent is one character (NFC), and invisible marks are nothing. The "
        "libraries hash such names as they are.",
    ),
    Difference(
        (EVENTS, NODE),
        NAMES,
        ("Anne Marie", "Anne-Marie", "O'Neil", "J.R."),
        "The guide to customer lists wants neither punctuation nor white space, and "
        "`CustomAudience` takes them out. These two are made for the conversions API.",
    ),
    Difference(
        (AUDIENCES,),
        NAMES,
        ("José", "MÜLLER", "Łukasz", "Ольга", "李", "Jose\u0301", wide("Ann")),
        "The library keeps the letters a to z only, so all names in other scripts have one digest, "
        "that of the empty text. The guide wants UTF-8, and Meta's other libraries keep them.",
    ),
    Difference(
        (AUDIENCES,),
        ("city",),
        ("São Paulo", "KÖLN", "東京"),
        "As with names.",
    ),
    Difference(
        (AUDIENCES,),
        ("first_initial",),
        ("Ann", "O'Neil", "'Ann", "Émile", "Ольга", "李"),
        "The library sends the whole name, in the letters a to z. Meta's other libraries take the "
        "first letter.",
    ),
    Difference(
        (EVENTS, NODE),
        ("first_initial",),
        ("'Ann",),
        "The first letter is meant. These two take the apostrophe.",
    ),
    Difference(
        (AUDIENCES, EVENTS, NODE),
        ("city",),
        ("Paris 16",),
        "The libraries take digits out of a city. The guide names punctuation and white space.",
    ),
    Difference(
        (EVENTS, NODE),
        ("city",),
        ("L'Aquila",),
        "The guide wants no punctuation. These two leave all of it but dots, dashes and brackets.",
    ),
    Difference(
        (AUDIENCES, EVENTS, NODE),
        ("state",),
        ("California", "New York"),
        "The guide wants the two letters of a state in the US. These libraries leave the name; two "
        "others of Meta's turn it into them.",
    ),
    Difference(
        (AUDIENCES,),
        ("state",),
        ("Île-de-France",),
        "As with names.",
    ),
    Difference(
        (AUDIENCES, EVENTS, NODE),
        ("zip",),
        ("00-950", "100-0001"),
        "The libraries cut at any dash, which halves the codes of Poland and Japan. The guide "
        "wants it in the US.",
    ),
    Difference(
        (AUDIENCES,),
        ("zip",),
        ("94 043", "SW1A 1AA", "sw1a 1aa"),
        "The guide wants no white space. Meta's other libraries take it out.",
    ),
    Difference(
        (GOOGLE, EVENTS, NODE),
        ("country",),
        ("USA", "U.S.A."),
        "Many lists have them, and they can mean only one country. The libraries refuse them.",
    ),
    Difference(
        (GOOGLE, NODE),
        ("country",),
        ("U.S.",),
        "The same; the rest of Meta's libraries take the dots out.",
    ),
)


def differences_of(client: str) -> list[Difference]:
    """Return where a library disagrees."""
    return [one for one in DIFFERENCES if client in one.clients]
