"""Countries as phone numbers know them: by the two letters of ISO 3166-1."""

from __future__ import annotations

#: Stands for a country that is missing, or that there is none of.
UNKNOWN = "ZZ"


def region(country: object) -> str:
    """Return the capital letters of a country in any case; `UNKNOWN` for anything else."""
    if not isinstance(country, str):
        return UNKNOWN

    # loading takes as long as the rest of the command line, and most need no phone numbers
    from phonenumbers import SUPPORTED_REGIONS

    letters = country.strip().upper()
    return letters if letters in SUPPORTED_REGIONS else UNKNOWN


def letters_of(name: object) -> str:
    """Return the two letters of the country with a name in any language, "" for none or several."""
    if not isinstance(name, str):
        return ""

    # names in all languages take half a second to load: only for a message
    from phonenumbers.geodata.locale import LOCALE_DATA

    wanted = name.strip().casefold()
    found = set()
    for letters, names in LOCALE_DATA.items():
        if wanted in map(str.casefold, names.values()):
            found.add(letters)
    return found.pop() if len(found) == 1 else ""
