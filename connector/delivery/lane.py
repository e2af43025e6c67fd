"""A lane: what the batches that are on their way in it have in common."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from connector.delivery.refusals import Refusals
from connector.delivery.window import Window
from connector.model import Stop


@dataclass(slots=True, eq=False)
class Lane:
    """The state of a lane. It is changed under `settling`, which nobody holds while sending.

    `asking`: held by the one batch of the lane of which is asked whether it is people or the
    account that the vendor refuses; whatever else is refused meanwhile waits for what it finds.
    """

    window: Window
    refusals: Refusals = field(default_factory=Refusals)
    stop: Stop | None = None
    settling: threading.Lock = field(default_factory=threading.Lock)
    asking: threading.Lock = field(default_factory=threading.Lock)
