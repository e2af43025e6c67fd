"""The worker: delivers what an outbox holds, lane by lane, as `send` delivers what it reads.

Read `worker.py` first: it takes lanes that nobody holds, and lets each go on (`lane.py`) under its
lease (`holding.py`). What the lanes of one connection share is its channel (`channel.py`). What is
put into the outbox comes out of a mapper (`mapping.py`).
"""
