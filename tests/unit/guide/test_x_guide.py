"""What the setup guide of X has to tell: of its API, of access to it, and of what to expect and to avoid."""

from __future__ import annotations

import pytest

from connector.definitions.catalog import Catalog
from connector.guide.guide import guide

TOLD = {
    "api": ["API name: X Ads API", "API version: v12", "API endpoint: `https://ads-api.x.com`"],
    "pages": ["Documentation: <https://docs.x.com/x-ads-api/audiences>"],
    "access": [
        "Apply for access to the Ads API with your developer app's id",
        "create the app's tokens after access was given",
    ],
    "weeks": ["A new ad account cannot advertise in its first two weeks"],
    "permission": ["needs access to the ad account, with the role Partner Audience Manager"],
    "hundred": [
        "at least 100 of its people match accounts that were active on X in the last 90 days"
    ],
    "size": ["so its size stays below the number of people sent"],
    "hours": ["every 6 to 8 hours; until then the audience works as it was"],
    "lists": ["Audiences made through the API are shown as lists"],
    "sensitive": [
        "Do not use X's data to derive sensitive characteristics of people",
        "X restricts this use of its APIs",
    ],
    "opt-out": ["has to be removed from every audience within 24 hours"],
}


@pytest.mark.parametrize("subject", TOLD)
def test_what_the_guide_tells(subject: str) -> None:
    text = " ".join(guide(Catalog().load("x_custom_audiences")).split())
    for words in TOLD[subject]:
        assert words in text
