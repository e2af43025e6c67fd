"""The service: takes events over HTTP, commits them to an outbox, and delivers them.

Read `service.py` first: it puts together the intake (`intake.py`), which maps and commits posts,
the worker that delivers, and the HTTP application (`app.py`).
"""
