"""The OpenAPI document and the service agree: schemathesis makes requests out of the one for the other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.kit.cli import connection
from tests.kit.http_vendor import Vendor
from tests.kit.service import Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

TOKEN = "0123456789abcdef0123456789abcdef"
#: Of each operation; some thousands were tried by hand.
EXAMPLES = 5


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("document")
    (folder / "token").write_text(TOKEN, "utf-8")
    with Vendor() as vendor:
        made = connection(folder, base_url=vendor.base_url)
        token = f"file:{folder / 'token'}"
        with Served(made, "--state", Path(folder) / "state", "--token", token) as one:
            one.headers = {"Authorization": f"Bearer {TOKEN}"}
            yield one


def test_what_the_document_promises_is_what_is_answered(served: Served) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of its imports
        schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
        from schemathesis.checks import not_a_server_error
        from schemathesis.specs.openapi import checks

        promises = [
            not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
            checks.unsupported_method,
        ]
        document = schemathesis.openapi.from_dict(served.call("/openapi.json").json)
        statuses = set()
        for found in document.get_all_operations():
            operation = found.ok()

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def ask(case: Any) -> None:
                answer = case.call_and_validate(
                    base_url=served.url, headers=served.headers, checks=promises
                )
                statuses.add((case.path, answer.status_code))

            ask()
    assert statuses >= {("/v1/events", 202), ("/v1/flush", 200), ("/v1/status", 200)}
