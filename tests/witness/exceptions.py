"""Where a client and the sandbox disagree for good, and why."""

from __future__ import annotations

from typing import NamedTuple


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
