"""The outbox: records that were accepted and have to be delivered, in SQLite or PostgreSQL.

Read `model.py` first: the values and the protocol. The algorithms are the same for both stores
(`accepting.py`, `settling.py`, `dead.py`, `pace.py`); a store gives them transactions.

Every transaction locks in one order, so that two of them cannot wait for each other: the rows of
connections by name, then those of lanes by number, then anything else.
"""
