"""The setup guide and the identifier table: complete, safe Markdown whatever texts say, and true.

What a guide shows is run: its connection loads, and its events become requests.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import connector
from connector._util import times
from connector.cli.show_text import show_text
from connector.connection.load import load_connection
from connector.definitions.catalog import Catalog
from connector.definitions.model import Action, Destination, RetrySchedule
from connector.errors import ConfigError
from connector.guide.describe import describe
from connector.guide.guide import guide
from connector.guide.limit_words import retry_words
from connector.guide.markdown import block, code, prose, table
from connector.model import Event, Record
from connector.pipeline.batching import Batcher
from connector.pipeline.normalise import STEPS
from connector.pipeline.pipeline import Pipeline
from tests.kit import ROOT

TINY = ROOT / "tests" / "bad" / "tiny"
NOW = times.to_epoch("2026-01-15T00:00:00Z")
MARKDOWN = MarkdownIt("commonmark").enable("table")
each_destination = pytest.mark.parametrize("name", Catalog().ids())


@cache
def loaded(name: str) -> Destination:
    return Catalog().load(name)


@cache
def shown(name: str) -> str:
    return guide(loaded(name))


def rows(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a guide, each cell as it is written."""
    for lines in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        yield [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines.splitlines()]


def chapter(text: str, heading: str) -> str:
    """Return what stands between a heading and the next one of its level."""
    _, _, rest = text.partition(f"\n{heading}\n")
    assert rest, heading
    level = heading.partition(" ")[0]
    return re.split(rf"^#{{2,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def first_cells(text: str) -> set[str]:
    return {row[0].strip().strip("`") for found in rows(text) for row in found}


# --- every destination ------------------------------------------------------------------------------------------------


@each_destination
def test_a_guide_says_everything(name: str) -> None:
    destination, text = loaded(name), shown(name)
    assert text.startswith(f"# {prose(destination.title)}: setup guide\n")
    assert set(destination.settings) <= first_cells(chapter(text, "## Settings"))
    assert set(destination.actions) <= first_cells(chapter(text, "## Actions"))
    for action in destination.actions.values():
        assert set(action.parameters) <= first_cells(
            chapter(text, f"### Parameters of {code(action.id)}")
        )
        people = first_cells(chapter(text, f"### Identifiers of {code(action.id)}"))
        assert {identifier.parameter for identifier in action.identifiers} <= people
    for export in destination.exports.values():
        part = chapter(text, f"### Parameters of {code(export.id)}")
        assert set(export.parameters) <= first_cells(part)
        people = first_cells(chapter(text, f"### Identifiers of {code(export.id)}"))
        assert {identifier.parameter for identifier in export.identifiers} <= people
    for scheme in destination.schemes():
        assert set(scheme.credentials) <= first_cells(text)
    assert len(destination.responses) == len(next(rows(chapter(text, "## Responses")))) - 2
    _, _, *facts = next(rows(chapter(text, "## Where the facts come from")))
    assert {row[0].strip() for row in facts} <= {"vendor", "peer", "assumed"}


@each_destination
def test_a_guide_is_sound_markdown(name: str) -> None:
    assert_sound(shown(name))


def assert_sound(text: str) -> None:
    for found in rows(text):
        assert {len(row) for row in found} == {len(found[0])}, found[0]
    assert "\n\n\n" not in text
    for one in MARKDOWN.parse(text):
        assert one.type not in {"html_block", "code_block"}, one.content
        for part in one.children or ():
            assert part.type in {
                "text",
                "softbreak",
                "code_inline",
                "text_special",
                "link_open",
                "link_close",
                "em_open",
                "em_close",
            }
    # a heading or a table in the middle of a paragraph would be none
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        f"{one.markup} {inside}" for one, inside in headings(text)
    ]
    assert len([*rows(text)]) == len(
        [one for one in MARKDOWN.parse(text) if one.type == "table_open"]
    )


def headings(text: str) -> Iterator[tuple[Token, str]]:
    found = MARKDOWN.parse(text)
    yield from (
        (one, found[place + 1].content)
        for place, one in enumerate(found)
        if one.type == "heading_open"
    )


@each_destination
def test_the_connection_of_a_guide_loads_and_makes_requests(name: str, tmp_path: Path) -> None:
    part = chapter(shown(name), "## Connection")
    [connection], [events] = blocks(part, "yaml"), blocks(part, "json")
    pipeline = pipeline_of(connection, tmp_path, Catalog())
    records = [
        one for event in events.splitlines() for one in prepared(pipeline, json.loads(event))
    ]
    operations = {action.operation for action in loaded(name).actions.values()}
    assert {record.target.operation for record in records} == operations


@each_destination
def test_the_routes_of_a_guide_take_their_events(name: str, tmp_path: Path) -> None:
    text = shown(name)
    [whole] = blocks(chapter(text, "## Connection"), "yaml")
    for action in loaded(name).actions.values():
        part = chapter(text, f"### A route for {code(action.id)}")
        [routes], [event] = blocks(part, "yaml"), blocks(part, "json")
        connection = yaml.safe_dump(yaml.safe_load(whole) | yaml.safe_load(routes))
        pipeline = pipeline_of(connection, tmp_path, Catalog())
        requests = blocks(chapter(text, f"### The request of {code(action.id)}"), "http")
        assert requests == [*made(pipeline, prepared(pipeline, json.loads(event)))], action.id


@each_destination
def test_the_exports_of_a_guide_make_their_lines(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(name)
    [whole] = blocks(chapter(text, "## Connection"), "yaml")
    for export in loaded(name).exports.values():
        part = chapter(text, f"### A connection for {code(export.id)}")
        [members], [event], [lines] = (blocks(part, kind) for kind in ("yaml", "json", "text"))
        document = yaml.safe_load(members)
        # an export needs no other credentials, and no routes
        base = {key: yaml.safe_load(whole)[key] for key in ("destination", "settings")}
        for reference in document.get("credentials", {}).values():
            monkeypatch.setenv(reference["env"], base64.b64encode(bytes(32)).decode())
        path = tmp_path / "connection.yaml"
        path.write_text(yaml.safe_dump(base | document), "utf-8")
        stream = io.BytesIO()
        report = connector.export(
            load_connection(path, Catalog()), export.id, [json.loads(event)], into=stream
        )
        assert stream.getvalue().decode() == lines
        assert report.complete
        assert not report.dropped
        title = show_text(describe(Catalog(), f"{name}.{export.id}")).partition("\n")[0]
        assert title == f"{name}.{export.id}  {export.title}"


def made(pipeline: Pipeline, records: list[Record]) -> Iterator[str]:
    """Yield the requests of records as a guide shows them."""
    batcher = Batcher()
    for batch in [*batcher.take(records), *batcher.flush()]:
        request = batch.endpoint.build(batch, NOW)
        head = [
            f"{request.method} {request.url}",
            *(f"{name}: {value}" for name, value in request.headers.items()),
        ]
        yield "\n".join(
            [*head, "", json.dumps(json.loads(request.body), indent=2, ensure_ascii=False), ""]
        )


def pipeline_of(connection: str, folder: Path, catalog: Catalog) -> Pipeline:
    path = folder / "connection.yaml"
    path.write_text(connection, "utf-8")
    return Pipeline(load_connection(path, catalog))


def prepared(pipeline: Pipeline, event: dict[str, Any]) -> list[Record]:
    """Return the records of an event; nothing of it may be refused or dropped."""
    found = list(pipeline.prepare([Event(1, event)], NOW))
    assert found
    assert all(isinstance(one, Record) for one in found), found
    assert not pipeline.dropped
    return [one for one in found if isinstance(one, Record)]


@each_destination
def test_every_setting_and_parameter_has_a_title_and_a_sentence(name: str) -> None:
    destination = loaded(name)
    holders: list[Destination | Action] = [destination, *destination.actions.values()]
    lacking = []
    for holder in holders:
        about = {"": holder.schema} | dict(holder.schema.get("properties", {}))
        lacking += [
            f"{holder.id}.{key}"
            for key, schema in about.items()
            if not schema.get("title", "").strip()
            or not re.search(r"\S.*\.$", schema.get("description", ""), re.DOTALL)
        ]
    assert not lacking


@each_destination
def test_what_is_shown_of_identifiers_is_what_is_sent(name: str) -> None:
    for action in loaded(name).actions.values():
        found = describe(Catalog(), f"{name}.{action.id}")
        assert [rule["parameter"] for rule in found["identifiers"]] == [
            one.parameter for one in action.identifiers
        ]
        for rule in found["identifiers"]:
            assert rule["examples"], rule["parameter"]
            for example in rule["examples"]:
                assert example["out"], (rule["parameter"], example)
                assert rule["hash"] == "none" or re.fullmatch("[0-9a-f]{64}", example["out"])
        _, _, text = show_text(found).partition("\nidentifiers\n")
        assert not re.search("[0-9a-f]{64}", text)
        assert max(map(len, text.partition("\nchecks\n")[0].splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x_custom_audiences", "unknown action or call or export 'nope'"),
        ("webhook", "unknown action 'nope'"),
    ],
)
def test_an_unknown_name_may_be_any_of_what_there_is(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        describe(Catalog(), f"{name}.nope")
    assert str(caught.value).startswith(f"C207 {name}.nope: {said} of {name}; known: ")


# --- one destination, looked at closely -------------------------------------------------------------------------------


def variant(folder: Path, changes: dict[str, Any], file: str = "destination.json") -> Destination:
    """Return the tiny destination with some members of a file laid over."""
    for kind in ("schemas", "templates"):
        shutil.copytree(TINY / kind, folder / kind)
    path = folder / "schemas" / "tiny" / file
    path.write_text(json.dumps(laid_over(json.loads(path.read_text("utf-8")), changes)), "utf-8")
    return Catalog([folder]).load("tiny")


def laid_over(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: laid_over(old.get(key), value) for key, value in new.items()}
    return new


def test_the_chapters_of_a_guide(tmp_path: Path) -> None:
    variant(tmp_path, {})
    own = "\n## Before you start\n\nGet a key.\n\n* And a list.\n\n## Good to know\n\nIt is slow.\n"
    (tmp_path / "schemas" / "tiny" / "guide.md").write_text(own, "utf-8")
    text = guide(Catalog([tmp_path]).load("tiny"))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## API information",
        "## Batch limits",
        "## Rate limits",
        "## Before you start",
        "## Good to know",
        "## Settings",
        "## Authentication",
        "## Connection",
        "## Actions",
        "## Action: Add Person",
        "## Action: Remove Person",
        "## Calls",
        "## Export: Match File",
        "## Normalisation",
        "## Responses",
        "## Where the facts come from",
    ]
    assert own in text
    assert "| Records (`records`) | 500 | 1,000 |" in text
    assert "| Size of the body (`bytes`) | 1 MB | 1 MB |" in text
    assert "| Age of the oldest record (`age`) | 1 hour | none |" in text
    assert "- At most 10 requests in 1 second, counted over all requests of a connection.\n" in text
    assert (
        "| `region` | Region | Where the account is kept. Allowed: `eu`, `us`. Default: `eu`. | no |  |"
        in text
    )
    assert "- At least one of: `email`, `customer`\n" in text
    assert "| `list_id` | List | The list's id. | yes | `42` | in the address |" in text
    assert (
        "| as `email`: trim → lowercase → sha256; with hashed it must already be a digest |" in text
    )
    assert "| in the body; without it: `P30D` (ISO 8601) after the request is made |" in text
    assert "| not sent; says whether identifiers are already digests |" in text
    assert hashlib.sha256(b"ann@example.com").hexdigest() in text


def test_a_definition_that_lint_finds_wrong_still_has_a_guide(tmp_path: Path) -> None:
    changes = {
        "required": ["list_id", "nobody"],
        "examples": [{"list_id": "42", "nobody": 1}],
        "action": {"item": "no.json.j2"},
    }
    assert_sound(guide(variant(tmp_path / "a", changes, "_person.json")))
    variant(tmp_path / "b", {})
    path = tmp_path / "b" / "schemas" / "tiny" / "_person.json"
    raw = json.loads(path.read_text("utf-8"))
    del raw["examples"]
    path.write_text(json.dumps(raw), "utf-8")
    made = Catalog([tmp_path / "b"]).load("tiny")
    [connection] = blocks(chapter(guide(made), "## Connection"), "yaml")
    assert yaml.safe_load(connection)["routes"][0]["map"] == {
        "list_id": {"value": "42"},
        "email": {"from": "traits.email"},
    }


def test_a_guide_says_how_values_and_events_become_records() -> None:
    for name in Catalog().ids():
        part = chapter(shown(name), "## Connection")
        assert "is the first of them that is present" in part
        assert "An identifier's value may be a list" in part
        split = any(action.split for action in loaded(name).actions.values())
        assert ("becomes several records" in part) == split
        assert ("All of them are in the person's one record." in part) != split


@pytest.mark.parametrize(
    ("name", "together"),
    [("iterable_lists", False), ("meta_custom_audiences", False), ("x_custom_audiences", True)],
)
def test_a_guide_says_where_additions_and_removals_cannot_share_a_request(
    name: str, together: bool
) -> None:
    part = chapter(shown(name), "## Connection")
    assert ("`order: identifiers`" in part) != together


TWO = [{"required": ["email"]}, {"required": ["customer"]}]
NEEDED: list[tuple[str, dict[str, Any], int]] = [
    ("At least one", {}, 2),
    ("At least one", {"properties": {"customer": {"identifier": {"alone": False}}}}, 1),
    ("Exactly one", {"oneOf": TWO}, 2),
    ("Exactly one", {"oneOf": TWO[:1]}, 1),
]


@pytest.mark.parametrize(("words", "changes", "count"), NEEDED)
def test_what_is_needed_is_said_once(
    tmp_path: Path, words: str, changes: dict[str, Any], count: int
) -> None:
    part = chapter(guide(variant(tmp_path, changes, "_person.json")), "## Action: Add Person")
    assert (f"- {words} of: `email`, `customer`\n" in part) == (count == 2)
    assert " of: `email`\n" not in part
    assert "kind of identifier" not in part
    assert "becomes several records" not in part
    named = [row for found in rows(part) for row in found if row[0] == " `email` "]
    [row] = [row for row in named if len(row) == 6][:1]
    assert row[3].strip() == ("yes" if count == 1 else "no")


def test_a_table_of_limits_shows_what_there_is(tmp_path: Path) -> None:
    limits = {"defaults": {"records": 5}, "source": "assumed: Few."}
    folder = tmp_path / "a"
    variant(folder, {})
    path = folder / "schemas" / "tiny" / "destination.json"
    raw = json.loads(path.read_text("utf-8"))
    raw["destination"]["limits"] = limits
    path.write_text(json.dumps(raw), "utf-8")
    part = chapter(guide(Catalog([folder]).load("tiny")), "## Batch limits")
    assert "| Limit | Default |\n" in part
    assert "up to the vendor's caps" not in part
    assert ("| Groups of records" in shown("x_custom_audiences")) is True
    assert ("| Groups of records" in shown("iterable_lists")) is False


WAITS = "If a response asks to wait, the connector waits."
LONGER = "Otherwise each retry waits longer than the one before."
SCHEDULE = "Otherwise it sends a request again at once, then after 1 minute each time, for 2 hours."
ONCE = (
    "A request that gets no answer is not sent again, as a change must not be made twice: its "
    "audience is stopped."
)


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (None, f"{WAITS} {LONGER}"),
        (RetrySchedule(refusals=5), f"{WAITS} {LONGER}"),
        (RetrySchedule((0.0, 60.0), 7200.0), f"{WAITS} {SCHEDULE}"),
        (RetrySchedule(unanswered="stop"), f"{WAITS} {LONGER} {ONCE}"),
        (RetrySchedule((0.0, 60.0), 7200.0, unanswered="stop"), f"{WAITS} {SCHEDULE} {ONCE}"),
    ],
)
def test_a_guide_says_when_a_request_is_sent_again(retry: RetrySchedule, words: str) -> None:
    assert retry_words(retry) == words


def test_a_guide_says_what_stops_for_an_account() -> None:
    [row] = [line for line in shown("x_custom_audiences").splitlines() if "LOCKED_OUT" in line][:1]
    assert "Stopped: nothing more is sent to any audience; all records are left" in row


def test_an_optional_credential_is_named_beside_the_connection() -> None:
    part = chapter(shown("microsoft_customer_lists"), "## Connection")
    reference = "`client_secret: {env: MICROSOFT_CUSTOMER_LISTS_CLIENT_SECRET}`"
    assert f"Optionally, add {reference} to `credentials`" in part


SCHEMES: dict[str, dict[str, Any]] = {
    "key": {
        "scheme": "api_key", "in": "header", "name": "Api-Key", "headers": {"Developer-Token": "developer_token"},
        "optional": ["developer_token"],
    },
    "token": {"scheme": "oauth2", "grant": "refresh_token", "token_url": "https://{host}/token", "scope": "lists"},
    "nothing": {
        "scheme": "none",
        "body_signature": {"header": "X-Signature", "hash": "sha256", "encoding": "hex", "credential": "signing"},
    },
}  # fmt: skip
NEEDED_CREDENTIALS = {
    "key": ["api_key"],
    "token": ["client_id", "client_secret", "refresh_token"],
    "nothing": ["signing"],
}
PROPERTIES = {
    "host": {
        "title": "Host",
        "description": "The host.",
        "type": "string",
        "pattern": "^[a-z.]+$",
        "examples": ["a.example.com"],
    },
    "choice": {
        "title": "Choice",
        "description": "How to sign in.",
        "type": "string",
        "enum": [*SCHEMES],
    },
}


@pytest.mark.parametrize("choice", SCHEMES)
def test_authentication_that_a_setting_chooses(choice: str, tmp_path: Path) -> None:
    source = {"source": "assumed: Invented."}
    changes = {
        "properties": PROPERTIES,
        "required": ["account_id", "host", "choice"],
        "examples": [{"account_id": "1234abcd", "host": "b.example.com", "choice": choice}],
        "destination": {"base_url": "https://{host}"},
    }
    variant(tmp_path, changes)
    raw = json.loads((tmp_path / "schemas/tiny/destination.json").read_text("utf-8"))
    raw["destination"]["auth"] = {
        "setting": "choice",
        "schemes": {k: v | source for k, v in SCHEMES.items()},
    }
    (tmp_path / "schemas/tiny/destination.json").write_text(json.dumps(raw), "utf-8")
    made = Catalog([tmp_path]).load("tiny")
    text = guide(made)
    assert_sound(text)
    part = chapter(text, "## Authentication")
    assert [inside for one, inside in headings(text) if one.markup == "###"][:3] == [
        f"With `choice: {k}`" for k in SCHEMES
    ]
    assert "The key is sent in the header, as `Api-Key`." in part
    assert "| `developer_token` | no | in the header `Developer-Token` |" in part
    assert (
        "The grant is `refresh_token`. Tokens come from `https://{host}/token`. The scope is `lists`."
        in part
    )
    assert "| `signing` | yes | signs the body |" in part
    assert "| `api_key` | yes | the key, in the header as `Api-Key` |" in part
    assert "| `client_secret` | yes | the app's client secret |" in part
    assert part.count("If an answer brings a new refresh token") == 1
    [whole] = blocks(chapter(text, "## Connection"), "yaml")
    connection = yaml.safe_load(whole)
    needed = {name: {"env": f"TINY_{name.upper()}"} for name in NEEDED_CREDENTIALS[choice]}
    assert connection["credentials"] == needed
    pipeline_of(whole, tmp_path, Catalog([tmp_path]))
    assert "choice: nothing" in show_text(describe(Catalog([tmp_path]), "tiny"))


def test_what_an_action_says_of_itself(tmp_path: Path) -> None:
    action = {
        "path": "/v1/{account_id}/people",
        "query": {"list": "{list_id}"},
        "audience": "{list_id}",
        "share": {"kind": {"param": "list_id"}},
        "split": {"by": "wire", "values": 1},
        "limits": {"caps": {"records": 10}, "source": "assumed: Fewer."},
        "responses": [
            {
                "when": "body.bad | length > 0", "then": "delivered", "each": "body.bad", "by": "value",
                "later": "entry.later", "source": "assumed: Half.",
            }
        ],
    }  # fmt: skip
    text = guide(variant(tmp_path, {"action": action}, "_person.json"))
    assert_sound(text)
    part = chapter(text, "## Action: Add Person")
    assert "- Audience: `{list_id}`\n" in part
    assert "- One kind of identifier in each record: `email`, `customer`\n" in part
    assert (
        "- At most 1 value of one identifier in a record\n- A person with more is split into several records\n"
        in part
    )
    assert "| in the query, as `list`; in the body |" in part
    assert (
        "| Records (`records`) | 10 | 10 |" in part or "| Records (`records`) | 500 | 10 |" in part
    )
    assert (
        r"| `body.bad \| length > 0` | Delivered, but the identifiers that it names are rejected, or sent "
        in part
    )
    assert "| assumed | batch limits | Fewer. |  |" in text


HOSTILE = (
    "a | b || c \\| <script>alert(1)</script> & &lt; `code` ``x`` **bold** _it_ ~~no~~ [x](javascript:y) ![i](z) "
    "https://example.com/a_b|c 漢字 \U0001f600 é \u202e \x07 {{ x }} {% y %} $m$.\n\n# no heading\n\n- no list\n\n1. none\n\n"
    "| a | b |\n|---|---|\n```\nfence\n---\n> quote\n    code."
)


def test_no_text_becomes_markup(tmp_path: Path) -> None:
    plain = guide(variant(tmp_path / "a", {}))
    about = {"title": HOSTILE, "description": HOSTILE}
    note = f"assumed: {HOSTILE}"
    changes = {
        "title": HOSTILE,
        "description": HOSTILE.replace("\n\n", " ").replace("\n", " "),
        "properties": {
            "label": {**about, "examples": [HOSTILE], "default": HOSTILE, "source": note}
        },
        "destination": {"api": {"name": HOSTILE, "version": HOSTILE, "source": note}},
    }
    parameters = {
        "title": HOSTILE,
        "description": HOSTILE,
        "properties": {"list_id": {**about, "source": note}},
    }
    folder = tmp_path / "b"
    variant(folder, changes)
    path = folder / "schemas" / "tiny" / "add.json"
    path.write_text(json.dumps(laid_over(json.loads(path.read_text("utf-8")), parameters)), "utf-8")
    text = guide(Catalog([folder]).load("tiny"))
    assert_sound(text)
    levels = [(one.tag, one.markup) for one, _ in headings(text)]
    assert levels == [(one.tag, one.markup) for one, _ in headings(plain)]
    assert len([*rows(text)]) == len([*rows(plain)])
    assert words(HOSTILE) in words("".join(inside for _, inside in contents(text)))


def words(text: str) -> str:
    """Return a text without its white space and control characters."""
    return re.sub(r"[\s\x00-\x1f]+", "", text)


def contents(text: str) -> Iterator[tuple[Token, str]]:
    """Yield what a reader sees of each paragraph, heading and cell."""
    for one in MARKDOWN.parse(text):
        if one.children is not None:
            yield one, "".join(part.content for part in one.children)


#: Texts of what means something in Markdown, and of other things.
ODD = [
    *" \t\n_*`|\\<>[]()!#-+.=~&;:\"'{}$^1a漢é\u0301\ud800\x00",
    "https://example.com/a_b*c~d?e=&amp;",
    "&lt;",
    "1. ",
    "<b>",
]
TEXTS = st.lists(st.sampled_from(ODD), max_size=30).map("".join) | st.text(max_size=30)
SEEN = {prose: {"text", "text_special", "link_open", "link_close"}, code: {"code_inline"}}


@pytest.mark.parametrize("write", [prose, code])
@settings(deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=2))
def test_a_cell_holds_any_text(write: Any, texts: list[str]) -> None:
    found = MARKDOWN.parse(table([[write(text) for text in texts]], "one", "two"))
    cells = [one for one in found if one.type == "inline"][2:]
    assert len(cells) == 2
    for cell, text in zip(cells, texts, strict=True):
        assert {part.type for part in cell.children or ()} <= SEEN[write]
        assert shrunk("".join(part.content for part in cell.children or ())) == shrunk(text)


@settings(deadline=None)
@given(text=TEXTS)
def test_a_paragraph_is_any_text(text: str) -> None:
    found = MARKDOWN.parse(prose(text))
    assert [one.type for one in found] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert shrunk("".join(seen for _, seen in contents(prose(text)))) == shrunk(text)


def shrunk(text: str) -> str:
    """Return a text with each stretch of white space and of what cannot be written as one blank."""
    return re.sub("[\\s\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffd]+", " ", text).strip()


@settings(deadline=None)
@given(text=TEXTS)
def test_a_block_holds_any_text(text: str) -> None:
    [found] = MARKDOWN.parse(block(text, "json"))
    assert found.type == "fence"


def test_a_row_that_does_not_fit_its_head_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a head of 2"):
        table([["a"]], "one", "two")


def test_every_step_is_said_in_words() -> None:
    assert all(step.words for step in STEPS.values())


# --- the identifier table of `show` -----------------------------------------------------------------------------------


def test_the_identifier_table_is_aligned(tmp_path: Path) -> None:
    people = {
        "properties": {
            "email": {
                "examples": [
                    "ann@example.com",
                    hashlib.sha256(b"ann@example.com").hexdigest(),
                    ["bob@example.com"],
                ]
            },
            "customer": {
                "examples": ["漢字", 7, " "],
                "identifier": {
                    "normalize": [
                        "trim",
                        {"strip_prefix": "customer-number-"},
                        "uppercase",
                        "remove_whitespace",
                    ]
                },
            },
        }
    }
    variant(tmp_path, people, "_person.json")
    found = describe(Catalog([tmp_path]), "tiny.add")
    email, customer = found["identifiers"]
    digest, other = (
        hashlib.sha256(text).hexdigest() for text in (b"ann@example.com", b"bob@example.com")
    )
    assert email["prehashed"] == {"flag": "hashed"}
    assert [example["out"] for example in email["examples"]] == [digest, digest, other]
    assert customer["steps"] == [
        "trim",
        "strip_prefix customer-number-",
        "uppercase",
        "remove_whitespace",
    ]
    assert [example["out"] for example in customer["examples"]] == ["漢字", "7", None]
    assert customer["examples"][2]["dropped"]
    assert found["notes"] == ["email: with hashed it must already be a digest"]
    _, _, text = show_text(found).partition("\nidentifiers\n")
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.splitlines()[:7] == [
        "  parameter  steps                                   hash    sent as   example          becomes",
        f"  email      trim → lowercase                        sha256  email     ann@example.com  {digest[:8]}…",
        f"                                                                       {digest[:8]}…        {digest[:8]}…",
        f"                                                                       bob@example.com  {other[:8]}…",
        "  customer   trim → strip_prefix customer-number- →  none    customer  漢字             漢字",
        "             uppercase → remove_whitespace",
        "                                                                       7                7",
    ]
