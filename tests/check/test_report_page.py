# SPDX-License-Identifier: GPL-2.0-or-later
"""The page and the drawing, in a real browser: it opens from a file, needs nothing else, and shows what it should."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mn_dsmip.check import cli, command
from mn_dsmip.check.flow.language import every_step
from mn_dsmip.check.model import Message
from mn_dsmip.check.report.ladder import BOUND, DETACH, DISCOVERY, SECURITY, ladder
from mn_dsmip.check.report.page import page
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.story import bindings, spans
from mn_dsmip.check.report.svg import svg
from mn_dsmip.check.rules.coverage import FAILED
from mn_dsmip.check.verdict import Verdict
from tests.check import damage
from tests.check.browser import Browser
from tests.check.conftest import Case, judged, judged_file, messages_of
from tests.check.subscriber import Subscriber

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\x1b[0m'\"&"
WIDE, NARROW = 1280, 400
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def bad(forged: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdict, Source]:
    """A wrong number in an acknowledgement, a request sent twice, and the last answer missing."""
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    trace.drop(trace.ike(37, True)[0])
    capture = trace.save(tmp_path_factory.mktemp("bad") / "bad.pcapng")
    messages = messages_of(capture, forged.keys)
    first = next(one for one in messages if one.kind == "ike_sa_init")
    again = replace(first, frame=first.frame + 1, time=first.time + 0.001)
    later = [replace(one, frame=one.frame + 1) if one.frame > first.frame else one for one in messages]
    place = messages.index(first) + 1
    return judged([*later[:place], again, *later[place:]]), Source(capture, forged.keys, 32, messages[0].time)


def drawn_page(verdict: Verdict, source: Source) -> str:
    return page(verdict, source, verdict.covered)


def opened(browser: Browser, made: str, file: Path, width: int = WIDE, **how: bool) -> Browser:
    file.write_text(made, encoding="utf-8", errors="backslashreplace")
    browser.problems.clear()
    browser.loaded.clear()
    browser.size(width, **how)
    browser.open(file)
    return browser


def count(browser: Browser, selector: str) -> int:
    found = browser.run(f"document.querySelectorAll({selector!r}).length")
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_opens_and_fits(
    browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path, width: int, dark: bool
) -> None:
    opened(browser, drawn_page(*bad), tmp_path / "report.html", width, dark=dark)
    assert browser.run(FITS)
    browser.run("for (const row of document.querySelectorAll('details')) row.open = true")
    assert browser.run(FITS)
    assert browser.problems == []
    assert set(browser.loaded) <= {(tmp_path / "report.html").as_uri(), "data:,"}
    # text stands out from what is behind it, in both schemes
    assert browser.run("getComputedStyle(document.body).color !== getComputedStyle(document.body).backgroundColor")


def test_arrows_go_where_messages_went(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    """Every row has its arrow between the life lines of its two roles, and points to the receiver."""
    drawn = ladder(bad[0].records[0], bad[0].flow, bad[1])
    opened(browser, drawn_page(*bad), tmp_path / "report.html")
    rows = [row for row in drawn.rows if not row.more]
    assert count(browser, ".arrow") == len(rows) > 25
    heads = browser.run(
        "[...document.querySelectorAll('.role')].map(x => x.getBoundingClientRect()).map(r => r.x + r.width / 2)"
    )
    arrows = browser.run(
        "[...document.querySelectorAll('.arrow')].map(x => [x.getBoundingClientRect().left, "
        "x.getBoundingClientRect().right, x.classList.contains('rightwards')])"
    )
    for row, (left, right, rightwards) in zip(rows, arrows, strict=True):
        ends = (heads[row.start], heads[row.end])
        assert (left, right) == pytest.approx((min(ends), max(ends)), abs=2)
        assert rightwards == (row.end > row.start)


def test_what_is_wrong_is_in_its_place(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    opened(browser, drawn_page(*bad), tmp_path / "report.html")
    assert browser.run("document.querySelector('h1').textContent") == "bad.pcapng against initial-attach"
    assert count(browser, ".findings .violation") >= 3
    wrong = browser.run("[...document.querySelectorAll('.row.has-violation')].map(x => x.textContent)")
    assert any("Binding Acknowledgement" in one and "expected 1 ($sequence); actual 7" in one for one in wrong)
    missing = browser.run("document.querySelector('.row.missing').textContent")
    assert "INFORMATIONAL response" in missing and "ike-delete-response" in missing
    assert "repeats frame" in browser.run("document.querySelector('.row.repeat').textContent")
    phases = browser.run("[...document.querySelectorAll('.phase h4')].map(x => x.textContent)")
    assert phases == ["Access", DISCOVERY, SECURITY, "Registration", BOUND, DETACH]
    assert browser.run("document.querySelector('.track .tick') !== null")


def test_content_on_demand(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    """A message opens by a click, all of them by a button, and a link from a finding opens its message."""
    opened(browser, drawn_page(*bad), tmp_path / "report.html")
    content = "[...document.querySelectorAll('.row.mobility')].map(x => x.innerText).join('')"
    assert "alternate_care_of_address" not in browser.run(content)
    browser.run("document.querySelector('.row.mobility summary').click()")
    assert "alternate_care_of_address" in browser.run(content)
    browser.run("document.querySelector('[data-open]').click()")
    assert count(browser, "details.row:not([open])") == 0
    browser.run("document.querySelector('[data-open]').click()")
    assert count(browser, "details.row[open]") == 0
    browser.run("document.querySelector('.findings a').click()")
    browser.run("new Promise(done => setTimeout(done))")
    assert count(browser, "details.row[open]") == 1
    visible = "[...document.querySelectorAll('.row.data')].filter(x => x.offsetHeight).length"
    before = browser.run(visible)
    browser.run("document.querySelector('[data-hide=data]').click()")
    assert browser.run(visible) < before


def test_markup_from_the_wire_stays_text(browser: Browser, good: list[Message], tmp_path: Path) -> None:
    spoiled = [replace(one, fields={**one.fields, "id_i": HOSTILE}) if one.get("id_i") else one for one in good]
    source = Source(tmp_path / "<b>x.pcapng", None, len(spoiled), spoiled[0].time)
    opened(browser, drawn_page(judged(spoiled), source), tmp_path / "report.html")
    assert count(browser, "img") == 0 and count(browser, "script") == 1 and count(browser, "h1 b") == 0
    assert browser.run("document.title").partition(" ")[2] == "<b>x.pcapng against initial-attach"
    assert HOSTILE.partition("\x1b")[0] in browser.run("document.body.textContent")
    assert browser.problems == []


def test_it_prints(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    """On paper: white, without buttons, on pages."""
    opened(browser, drawn_page(*bad), tmp_path / "report.html", dark=True)
    browser.size(WIDE, dark=True, media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("[...document.querySelectorAll('button')].every(x => !x.offsetHeight)")
    assert len(re.findall(rb"/Type\s*/Page\b", browser.pages())) >= 2
    assert browser.problems == []


def test_the_drawing_alone(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    drawn = ladder(bad[0].records[0], bad[0].flow, bad[1])
    made = svg(drawn)
    root = ET.fromstring(made)
    space = "{http://www.w3.org/2000/svg}"
    groups = [one.get("class", "") for one in root.iter(f"{space}g")]
    assert sum(one.startswith("arrow") for one in groups) == sum(not row.more for row in drawn.rows)
    assert groups.count("arrow missing") == sum(row.missing for row in drawn.rows) == 1
    assert groups.count("finding") == sum(bool(row.findings) for row in drawn.rows) > 1
    opened(browser, made, tmp_path / "ladder.svg")
    assert browser.problems == [] and browser.loaded == [(tmp_path / "ladder.svg").as_uri()]
    outside = browser.run(
        "[...document.querySelectorAll('text')].filter(x => { const b = x.getBBox(); "
        "return b.x < 0 || b.x + b.width > document.documentElement.viewBox.baseVal.width; }).map(x => x.textContent)"
    )
    assert outside == []


def test_many_ues_say_which_are_shown(
    browser: Browser, interleaved: tuple[Case, list[Subscriber]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, _ = interleaved
    output = tmp_path / "page.html"
    words = [str(case.capture), "--keys", str(case.keys), "--ues", "2", "-o", str(output)]
    assert command("report", words) == 0
    assert capsys.readouterr().out == f"{output}: PASS, 3 UEs\n"
    opened(browser, output.read_text(), output)
    assert count(browser, "section.ue") == 2
    assert count(browser, "header tbody tr") == 3
    assert "shows 2 of 3 UEs in full" in browser.run("document.querySelector('header').textContent")
    assert browser.run(FITS)


def test_a_capture_with_nothing_has_a_page(browser: Browser, tmp_path: Path) -> None:
    opened(
        browser, drawn_page(judged([]), Source(Path("empty.pcapng"), None, 0, 0.0)), tmp_path / "report.html", NARROW
    )
    assert "Nothing of the flow was found" in browser.run("document.body.textContent")
    assert browser.problems == [] and browser.run(FITS)


# -- what the drawings are made of


def test_long_stretches_of_user_data_are_counted(good: list[Message]) -> None:
    ping = next(one for one in good if one.kind == "tunnelled")
    place = next(index for index, one in enumerate(good) if one.kind == "tunnelled")
    many = [replace(ping, frame=ping.frame + index, fields={**ping.fields, "icmp": "other"}) for index in range(1, 500)]
    later = [replace(one, frame=one.frame + 500) for one in good[place + 1 :]]
    messages = [*good[: place + 1], *many, *later]
    verdict = judged(messages)
    drawn = ladder(verdict.records[0], verdict.flow, Source(Path("x"), None, 1, good[0].time))
    (counted,) = [row for row in drawn.rows if row.more]
    assert len(drawn.rows) < 60 and counted.more > 480
    assert counted.name.startswith(f"{counted.more} more packets of user data, frames ")


def test_missing_messages_stand_in_the_order_of_the_flow(good: list[Message]) -> None:
    verdict = judged([one for one in good if one.frame < 24 or one.kind == "informational"])
    drawn = ladder(verdict.records[0], verdict.flow, Source(Path("x"), None, 1, good[0].time))
    missing = [row.step for row in drawn.rows if row.missing]
    steps = [one.name for one in every_step(verdict.flow.steps)]
    assert len(missing) > 1 and missing == sorted(missing, key=steps.index)


def test_a_home_agent_has_one_column_over_ipv4_too(good: list[Message]) -> None:
    """After a handover to an IPv4 access both ends have other addresses, and are who they were."""
    last = max(one.frame for one in good if one.kind == "binding_acknowledgement")
    ue, ha = next((one.source, one.destination) for one in good if one.kind == "binding_update")
    ends = {ue: "198.51.100.10", ha: "192.0.2.1"}
    moved = [
        replace(one, source=ends.get(one.source, one.source), destination=ends.get(one.destination, one.destination))
        if one.frame >= last - 1
        else one
        for one in good
    ]
    verdict = judged(moved)
    drawn = ladder(verdict.records[0], verdict.flow, Source(Path("x"), None, 1, good[0].time))
    assert [one.role for one in drawn.columns] == ["ue", "router", "dns", "ha"]
    assert drawn.columns[-1].addresses == (ha, "192.0.2.1")
    assert "198.51.100.10" in drawn.columns[0].addresses


def test_bindings_and_times(forged: Case) -> None:
    verdict, source = judged_file(forged.capture, forged.keys)
    (judgement,) = verdict.judgements
    made = bindings(judgement.session, source)
    assert [one.what for one in made] == ["registration", "refresh", "de-registration"]
    assert all(one.good for one in made) and [one.granted for one in made][-1] == "0 s"
    times = spans(ladder(verdict.records[0], verdict.flow, source))
    assert [one.first for one in times] == sorted(one.first for one in times)
    assert all(one.last == other.first for one, other in itertools.pairwise(times))


def test_only_what_can_be_drawn(forged: Case, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [str(forged.capture), "--svg", "-o", "-"]
    assert command("report", [*words, "--ue", "1"]) == 0
    assert capsys.readouterr().out.startswith("<svg ")
    for more, says in (
        (["--ue", "2"], "there is no UE 2 in the capture"),
        (["--ue", "x"], "argument --ue: expected a number from 1, found 'x'"),
        (["--output", "/nowhere/x.svg"], "/nowhere/x.svg: No such file or directory"),
    ):
        assert command("report", [*words, *more]) == 2
        output = capsys.readouterr()
        assert output.err.startswith(f"mn-dsmip report: {says}") and output.err.count("\n") == 1
    assert cli.main([str(tmp_path / "none.pcap")]) == 2


# -- coverage by clause


def test_coverage_on_the_page(browser: Browser, bad: tuple[Verdict, Source], tmp_path: Path) -> None:
    opened(browser, drawn_page(*bad), tmp_path / "report.html", NARROW)
    documents = browser.run("[...document.querySelectorAll('#coverage summary b')].map(x => x.textContent)")
    assert documents == sorted(set(documents), key=documents.index) and "RFC 6275" in documents
    browser.run("for (const one of document.querySelectorAll('#coverage details')) one.open = true")
    assert browser.run(FITS)
    failed = [one for one in bad[0].covered if one.state == FAILED]
    shown = browser.run("[...document.querySelectorAll('#coverage td .fail')].map(x => x.closest('tr').textContent)")
    assert len(shown) == len(failed) > 0
    assert all(any(one.requirement.text in row for row in shown) for one in failed)
