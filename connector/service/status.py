"""The status of an outbox as JSON, for `/v1/status` and the command line."""

from __future__ import annotations

from typing import Any

from connector._util import times
from connector.delivery.outbox.model import ConnectionStatus, LaneStatus, Status


def status_json(status: Status) -> dict[str, Any]:
    """Return what there is, by connection and lane."""
    connections = {}
    for name, one in sorted(status.connections.items()):
        connections[name] = _connection(one, status.now)
    return {"at": times.from_epoch(status.now), "connections": connections}


def _connection(one: ConnectionStatus, now: float) -> dict[str, Any]:
    lanes = []
    for lane in one.lanes:
        lanes.append(_lane(lane, now))
    return {
        "pending": one.pending,
        "dead": one.dead,
        "stopped": sum(lane.stopped is not None for lane in one.lanes),
        "oldest_seconds": oldest_seconds(one, now),
        "counts": dict(sorted(one.counts.items())),
        "lanes": lanes,
    }


def _lane(lane: LaneStatus, now: float) -> dict[str, Any]:
    stopped = None
    if lane.stopped is not None:
        stopped = {
            "code": lane.stopped.code,
            "reason": lane.stopped.reason,
            "times": lane.stopped.stops,
            "tried_again_in_seconds": round(max(0.0, lane.stopped.probe_at - now), 1),
        }
    return {
        "lane": lane.lane,
        "pending": lane.pending,
        "oldest_seconds": None if lane.oldest is None else _age(lane.oldest, now),
        "dead": lane.dead,
        "stopped": stopped,
        "worker": lane.worker,
    }


def oldest_seconds(one: ConnectionStatus, now: float) -> float | None:
    """Return how long the oldest pending record waits, None when there is none."""
    oldest = [lane.oldest for lane in one.lanes if lane.oldest is not None]
    return _age(min(oldest), now) if oldest else None


def _age(moment: float, now: float) -> float:
    return round(max(0.0, now - moment), 1)
