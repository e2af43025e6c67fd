"""What one would write by hand: make the bodies and post them.

`python -m benchmarks.script EVENTS BASE_URL`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
from oauthlib.oauth1 import Client

from .by_hand import by_hand

PATH = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"


def main(events: str, base_url: str) -> None:
    """Post all bodies, signed, one after the other."""
    signer = Client(
        "key", client_secret="secret", resource_owner_key="token", resource_owner_secret="secret"
    )
    with httpx.Client() as client:
        for body in by_hand(Path(events)):
            _, headers, _ = signer.sign(base_url + PATH, "POST")
            answer = client.post(
                base_url + PATH,
                content=body,
                headers={**headers, "content-type": "application/json"},
            )
            counts = answer.raise_for_status().json()["data"]
            if counts["success_count"] != counts["total_count"]:
                raise SystemExit("counts differ")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
