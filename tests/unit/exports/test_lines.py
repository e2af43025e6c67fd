"""Lines: what stands in them, what cannot, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import connector
from connector.errors import ConfigError
from connector.pipeline.dropped import REASONS
from tests.kit.exports import MATCH, PARTNER, TARGETING, exported, exporting, keyed

LOST = "no usable identifier: partner_user_id not_a_cell"


def test_an_id_stands_on_a_line_for_each_identifier(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    events = [
        {"id": "u1", "email": [" Ann@Example.com ", "ann+x@example.com"], "handle": "@AdsAPI"},
        {"id": ["u2", "u3"], "email": "bob@example.com"},
        {"id": "u4", "email": ["bob@example.com", "BOB@example.com"]},
    ]
    lines, report = exported(connection, "full_data_match", events)
    assert lines == [
        f"{keyed('ann@example.com')},u1",
        f"{keyed('ann+x@example.com')},u1",
        f"{keyed('adsapi')},u1",
        f"{keyed('bob@example.com')},u2",
        f"{keyed('bob@example.com')},u3",
        f"{keyed('bob@example.com')},u4",
    ]
    assert (report.counts.events, report.counts.records) == (3, 6)
    assert report.complete


def test_device_ids_keep_their_case(tmp_path: Path) -> None:
    mapped = {**MATCH, "device_id": {"from": "device"}}
    connection = exporting(tmp_path, full_data_match={"map": mapped})
    idfa = "4B61639E-47CC-4056-A16A-C8217E029462"
    lines, _ = exported(connection, "full_data_match", [{"id": "u1", "device": idfa}])
    assert lines == [f"{keyed(idfa)},u1"]


@pytest.mark.parametrize(
    ("value", "in_commas", "in_tabs"),
    [
        ("a b", True, True),
        ("ä;'|", True, True),
        ("a,b", False, True),
        ('a"b', False, True),
        ("a\tb", False, False),
        ("a\nb", False, False),
        ("a\rb", False, False),
        ("a\u2028b", False, False),
        ("a\x85b", False, False),
    ],
)
def test_what_cannot_be_a_cell_is_dropped(
    tmp_path: Path, value: str, in_commas: bool, in_tabs: bool
) -> None:
    connection = exporting(
        tmp_path,
        opt_out={"map": PARTNER},
        web_targeting={"map": TARGETING},
        sync_pixel={"map": PARTNER},
    )
    # beside another person, so that nobody is prepared alone
    events = [{"id": "u1"}, {"id": value}]
    for name, can_be in (("opt_out", in_commas), ("web_targeting", in_tabs)):
        lines, report = exported(connection, name, events)
        assert len(lines) == 1 + can_be
        assert all(value in line for line in lines[1:])
        if not can_be:
            assert report.dropped == {("partner_user_id", "not_a_cell"): 1}
            assert report.reasons == {("rejected", "no_identifier", LOST): 1}
            assert value not in repr(report)
    lines, _ = exported(connection, "sync_pixel", events)
    assert len(lines) == 2


def test_a_label_that_cannot_be_a_cell_is_rejected(tmp_path: Path) -> None:
    connection = exporting(tmp_path, web_targeting={"map": TARGETING})
    events = [{"id": "u1", "label": "a\tb"}, {"id": "u2", "score": 101}, {"id": "u3", "score": "x"}]
    lines, report = exported(connection, "web_targeting", events)
    assert lines == []
    assert [(one.event, one.code, one.reason) for one in report.failures] == [
        (
            "1",
            "invalid_parameter",
            f"segment: {REASONS['not_a_cell']}",
        ),
        ("2", "invalid_parameter", "confidence must be at most 100"),
        ("3", "invalid_parameter", "confidence must be a whole number, got text"),
    ]


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ((), ["111\t@adsapi\tu1\t100\tShoes", "111\t@adsapi\tu2\t\t", "111\t@adsapi\tu3\t0\t"]),
        (("confidence",), ["111\t@adsapi\tu1\t\tShoes", "111\t@adsapi\tu2\t\t", "111\t@adsapi\tu3\t\t"]),
        (("segment",), ["111\t@adsapi\tu1\t100", "111\t@adsapi\tu2\t", "111\t@adsapi\tu3\t0"]),
        (("confidence", "segment"), ["111\t@adsapi\tu1", "111\t@adsapi\tu2", "111\t@adsapi\tu3"]),
    ],
)  # fmt: skip
def test_every_line_has_the_columns_that_are_mapped(
    tmp_path: Path, left_out: tuple[str, ...], expected: list[str]
) -> None:
    mapped = {name: entry for name, entry in TARGETING.items() if name not in left_out}
    connection = exporting(tmp_path, web_targeting={"map": mapped})
    events = [
        {"id": "u1", "score": "100", "label": "Shoes"},
        {"id": "u2", "score": "n/a"},
        {"id": "u3", "score": 0, "label": ""},
    ]
    lines, report = exported(connection, "web_targeting", events)
    assert lines == expected
    assert report.complete


def test_an_opt_out_has_the_partner_and_the_person(tmp_path: Path) -> None:
    connection = exporting(tmp_path, opt_out={"when": "event.objects", "map": PARTNER})
    events = [{"id": "u1", "objects": True}, {"id": "u2"}, {"id": "u3", "objects": True}]
    lines, _ = exported(connection, "opt_out", events)
    assert lines == ["111,u1", "111,u3"]


def test_a_pixel_is_percent_encoded(tmp_path: Path) -> None:
    connection = exporting(tmp_path, sync_pixel={"map": PARTNER})
    lines, _ = exported(connection, "sync_pixel", [{"id": "abc"}, {"id": "a b&p_id=2/ü%"}])
    assert lines == [
        "https://analytics.x.com/i/adsct?p_id=111&p_user_id=abc",
        "https://analytics.x.com/i/adsct?p_id=111&p_user_id=a%20b%26p_id%3D2%2F%C3%BC%25",
    ]


def test_a_mapping_is_that_of_a_route(tmp_path: Path) -> None:
    mapped: dict[str, Any] = {
        "company": {"value": "Acme"},
        "email": {"from": "item.email", "prehashed": "auto"},
        "partner_user_id": {"expr": "event.shop ~ '-' ~ item.id"},
    }
    connection = exporting(
        tmp_path,
        full_data_match={"each": "people", "when": "item.optin", "map": mapped},
    )
    digest = keyed("cyd@example.com")
    people: list[dict[str, Any]] = [
        {"id": 1, "email": "ann@example.com", "optin": True},
        {"id": 2, "email": "bob@example.com", "optin": False},
        {"id": 3, "email": digest.upper(), "optin": True},
        {"id": 4, "email": "none", "optin": True},
        {"id": 5, "optin": "maybe"},
    ]
    lines, report = exported(connection, "full_data_match", [{"shop": "s", "people": people}, {}])
    assert lines == [f"{keyed('ann@example.com')},s-1", f"{digest},s-3"]
    assert report.counts.skipped == 1
    assert [(one.item, one.outcome, one.code) for one in report.failures] == [
        (3, "rejected", "no_identifier"),
        (4, "rejected", "not_a_boolean"),
        (3, "dropped", "placeholder"),
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    events = [{"id": "u1"}, {"email": "ann@example.com"}, {"id": "u2", "email": "ann"}]
    _, report = exported(connection, "full_data_match", events)
    assert [reason for _, _, reason in report.reasons] == [
        "no usable identifier: none is present; looked in email, handle",
        "no usable identifier: none is present; looked in id",
        "no usable identifier: email not_of_the_form",
    ]
    assert report.counts.records == report.counts.rejected == 3


def test_the_fill_counts_values(tmp_path: Path) -> None:
    connection = exporting(
        tmp_path, full_data_match={"map": MATCH}, web_targeting={"map": TARGETING}
    )
    events = [{"id": "u1", "email": "ann@example.com"}, {"id": "u2", "label": "A"}]
    _, report = exported(connection, "full_data_match", events)
    found = {one.parameter: (one.of, one.found) for one in report.fill}
    assert found == {"email": (2, 1), "handle": (2, 0), "partner_user_id": (2, 2)}
    _, report = exported(connection, "web_targeting", events)
    found = {one.parameter: (one.of, one.found) for one in report.fill}
    assert found == {"partner_user_id": (2, 2), "confidence": (2, 0), "segment": (2, 1)}


def test_what_looks_like_a_mistake_is_said(tmp_path: Path) -> None:
    elements = {"partner_id": {"value": "111"}, "partner_user_id": {"from": "item.id"}}
    connection = exporting(
        tmp_path,
        full_data_match={"when": "not event.opt_out", "map": MATCH},
        opt_out={"each": "peple", "map": elements},
    )
    events: list[dict[str, Any]] = []
    for number in range(30):
        events.append({"id": "guest", "email": f"p{number}@example.com", "optOut": "yes"})
    _, report = exported(connection, "full_data_match", events)
    misspelt, shared = report.doubts
    assert misspelt == (
        "export full_data_match: 'when' reads event.opt_out, found in 0 of 30; "
        "did you mean 'event.optOut'?"
    )
    assert shared.startswith(
        "export full_data_match: 30 of 30 values of partner_user_id are one and the same although "
        "email differs, "
    )
    _, report = exported(connection, "opt_out", [{"people": events}])
    assert report.doubts == (
        "export opt_out: 'each' reads event.peple, found in 0 of 1; did you mean 'event.people'?",
    )


def test_values_that_are_all_dropped_are_said(tmp_path: Path) -> None:
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    columns_mixed_up = [{"id": f"u{n}", "email": f"Person {n}", "handle": "a"} for n in range(5)]
    lines, report = exported(connection, "full_data_match", columns_mixed_up)
    assert len(lines) == 5
    assert report.doubts == (
        "export full_data_match: all 5 values of email were dropped: not_of_the_form",
    )
    ids = [{"id": f"u,{n}", "email": f"p{n}@example.com"} for n in range(3)]
    lines, report = exported(connection, "full_data_match", ids)
    assert lines == []
    assert report.doubts == (
        "export full_data_match: all 3 values of partner_user_id were dropped: not_a_cell",
    )


def test_only_what_the_export_reads_needs_a_good_name(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("id,email,x,x\nu1,ann@example.com,1,2\n", "utf-8")
    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    report = connector.export(connection, "full_data_match", path, into=tmp_path / "out.txt")
    assert report.counts.delivered == 1


def test_an_export_that_is_not_mapped_is_refused(tmp_path: Path) -> None:
    connection = exporting(tmp_path, opt_out={"map": PARTNER})
    with pytest.raises(ConfigError) as caught:
        exported(connection, "opt_outs", [])
    assert str(caught.value) == (
        "C041 connection#/exports: the connection has no export 'opt_outs'; "
        "known: full_data_match, opt_out, sync_pixel, web_targeting; did you mean 'opt_out'?; "
        "see 'connector show x_custom_audiences'"
    )
    with pytest.raises(ConfigError) as caught:
        exported(connection, "sync_pixel", [])
    assert str(caught.value) == (
        "C041 connection#/exports: the connection has no export 'sync_pixel'; "
        "map it under 'exports'; see 'connector show x_custom_audiences.sync_pixel'"
    )


def test_a_connection_without_routes_cannot_be_sent(tmp_path: Path) -> None:
    connection = exporting(tmp_path, opt_out={"map": PARTNER})
    for act in (connector.send, connector.preview):
        with pytest.raises(ConfigError) as caught:
            act(connection, [])
        assert str(caught.value) == (
            "C040 connection: has no routes: nothing can be sent; "
            "add routes, or write a file with 'connector export'"
        )
