# SPDX-License-Identifier: GPL-2.0-or-later
"""A verdict as JUnit, SARIF, Markdown and annotations: what their readers need is there, and nothing breaks out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from lxml import etree

from mn_dsmip.check import main
from mn_dsmip.check.model import Message
from mn_dsmip.check.report import github, junit, markdown, sarif
from mn_dsmip.check.report.source import Source
from mn_dsmip.check.report.text import Style, text
from mn_dsmip.check.verdict import Verdict
from tests.check import damage
from tests.check.conftest import FLOW, Case, judged, judged_file, messages_of

HOSTILE = "<script>alert(1)</script>]]>\x00\x1b[31m|`%0A::error::@all\ud800"

# What the readers of CI systems agree on (the schema that Jenkins publishes, without what we never write).
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:complexType name="told" mixed="true"><xs:attribute name="message"/><xs:attribute name="type"/></xs:complexType>
<xs:element name="testcase"><xs:complexType><xs:sequence>
  <xs:element name="skipped" minOccurs="0"><xs:complexType><xs:attribute name="message"/></xs:complexType></xs:element>
  <xs:element name="error" type="told" minOccurs="0"/>
  <xs:element name="failure" type="told" minOccurs="0"/>
  <xs:element name="system-out" type="xs:string" minOccurs="0"/>
</xs:sequence><xs:attribute name="name" use="required"/><xs:attribute name="classname" use="required"/>
</xs:complexType></xs:element>
<xs:element name="testsuite"><xs:complexType><xs:sequence>
  <xs:element ref="testcase" minOccurs="0" maxOccurs="unbounded"/>
</xs:sequence><xs:attribute name="name" use="required"/><xs:attribute name="tests" type="xs:int" use="required"/>
<xs:attribute name="failures" type="xs:int"/><xs:attribute name="errors" type="xs:int"/>
<xs:attribute name="skipped" type="xs:int"/></xs:complexType></xs:element>
<xs:element name="testsuites"><xs:complexType><xs:sequence>
  <xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/>
</xs:sequence><xs:attribute name="name"/><xs:attribute name="tests" type="xs:int"/>
<xs:attribute name="failures" type="xs:int"/><xs:attribute name="errors" type="xs:int"/></xs:complexType></xs:element>
</xs:schema>"""


@pytest.fixture(scope="module")
def bad(forged: Case, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An acknowledgement with a wrong number, and the last answer missing."""
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    trace.drop(trace.ike(37, True)[0])
    return Case(trace.save(tmp_path_factory.mktemp("bad") / "bad.pcapng"), forged.keys)


@pytest.fixture(scope="module")
def told(bad: Case) -> tuple[Verdict, Source]:
    return judged_file(bad.capture, bad.keys)


@pytest.fixture(scope="module")
def unseen(forged: Case) -> tuple[Verdict, Source]:
    """The good trace as it looks without keys."""
    blind = messages_of(forged.capture, None)
    return judged(blind), Source(Path("blind.pcapng"), None, len(blind), blind[0].time)


@pytest.fixture(scope="module")
def hostile(good: list[Message]) -> tuple[Verdict, Source]:
    """A UE whose identity, and an acknowledgement whose status, is made to break out of a report."""
    spoiled = [
        replace(one, fields={**one.fields, "id_i": HOSTILE})
        if one.get("id_i")
        else replace(one, fields={**one.fields, "status": HOSTILE})
        if one.kind == "binding_acknowledgement"
        else one
        for one in good
    ]
    return judged(spoiled), Source(Path(f"{HOSTILE[:8]}.pcapng"), None, len(spoiled), spoiled[0].time)


def validated(document: str) -> ET.Element:
    etree.XMLSchema(etree.fromstring(SCHEMA)).assertValid(etree.fromstring(document.encode()))
    return ET.fromstring(document)


def counted(root: ET.Element) -> dict[str, int]:
    return {tag: sum(1 for _ in root.iter(tag)) for tag in ("testcase", "failure", "error", "skipped")}


# -- JUnit


def test_junit_has_a_case_for_each_step_and_rule(told: tuple[Verdict, Source]) -> None:
    root = validated(junit.junit(*told))
    (record,) = told[0].records
    found = counted(root)
    assert found["testcase"] == len(record.steps) + len(record.rules) == int(root.get("tests", "0"))
    assert found["failure"] == int(root.get("failures", "0")) > 2 and found["error"] == 0
    failed = {case.get("name"): failure for case in root.iter("testcase") for failure in case.iter("failure")}
    assert failed["registration-acknowledged"].get("message", "").endswith("expected 1 ($sequence); actual 7")
    assert "RFC 6275 9.5.4" in (failed["registration-acknowledged"].text or "")
    assert "nearest candidate: " in (failed["ike-delete-response"].text or "")
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_junit_tells_what_could_not_be_judged(unseen: tuple[Verdict, Source]) -> None:
    strict, lax = validated(junit.junit(*unseen)), validated(junit.junit(*unseen, allow_unseen=True))
    assert counted(strict)["error"] == int(strict.get("errors", "0")) > 5
    assert counted(lax)["error"] == 0
    assert counted(lax)["skipped"] == counted(strict)["skipped"] + counted(strict)["error"]
    assert counted(strict)["failure"] == 0


def test_junit_of_an_empty_capture_fails() -> None:
    root = validated(junit.junit(judged([]), Source(Path("empty.pcapng"), None, 0, 0.0)))
    assert counted(root) == {"testcase": 1, "failure": 1, "error": 0, "skipped": 0}


# -- SARIF


def test_sarif_has_what_code_scanning_needs(told: tuple[Verdict, Source]) -> None:
    """Version, one run, a tool with rules; results with a rule, a level, a text, a place, and a fingerprint."""
    written = json.loads(sarif.sarif(*told))
    assert (written["version"], written["$schema"]) == ("2.1.0", sarif.SCHEMA)
    (run,) = written["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "mn-dsmip"
    for rule in rules:
        assert all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help"))
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        check_result(result, rules)
    assert len(run["results"]) == len(told[0].records[0].problems)
    first = run["results"][0]["locations"][0]["physicalLocation"]
    assert (
        FLOW.read_text().splitlines()[first["region"]["startLine"] - 1].strip() == "- step: registration-acknowledged"
    )


def check_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    assert result["ruleId"] == rules[result["ruleIndex"]]["id"]
    assert result["level"] in ("error", "warning", "note")
    assert result["message"]["text"]
    assert re.fullmatch("[0-9a-f]{32}", result["partialFingerprints"]["mnDsmip/v1"])
    (location,) = result["locations"]
    assert location["physicalLocation"]["region"]["startLine"] >= 1
    assert re.fullmatch(r"[\w.:/%~-]+", location["physicalLocation"]["artifactLocation"]["uri"])


def test_sarif_tells_what_could_not_be_judged(unseen: tuple[Verdict, Source]) -> None:
    for allowed, level in ((False, "error"), (True, "note")):
        (run,) = json.loads(sarif.sarif(*unseen, allow_unseen=allowed))["runs"]
        mine = [one for one in run["results"] if one["ruleId"] == sarif.UNJUDGED]
        assert len(mine) == len(unseen[0].records[0].unseen) and {one["level"] for one in mine} == {level}


def test_fingerprints_stay_when_frames_move(good: list[Message]) -> None:
    def prints(messages: list[Message]) -> list[str]:
        kept = [one for one in messages if one.kind != "binding_acknowledgement"]
        (run,) = json.loads(sarif.sarif(judged(kept), Source(Path("x"), None, 1, 0.0)))["runs"]
        return [one["partialFingerprints"]["mnDsmip/v1"] for one in run["results"]]

    moved = [replace(one, frame=one.frame + 1000, time=one.time + 60) for one in good]
    assert prints(good) == prints(moved) != []


# -- Markdown and GitHub


def test_markdown_is_a_table_and_the_findings(told: tuple[Verdict, Source]) -> None:
    lines = markdown.markdown(*told).splitlines()
    assert lines[0] == "## ❌ FAIL: bad.pcapng against initial-attach"
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 3 and len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "   - sequence: expected 1 (\\$sequence); actual **7**" in lines


def test_annotations_point_into_the_flow(told: tuple[Verdict, Source]) -> None:
    first = github.commands(*told).splitlines()[0]
    assert re.match(r"::error file=\S*captures/initial-attach/flow.yaml,line=\d+,title=step registration-ack", first)
    assert first.endswith("sequence: expected 1 ($sequence); actual 7 (RFC 6275 9.5.4)")


def test_annotations_of_what_could_not_be_judged(unseen: tuple[Verdict, Source]) -> None:
    assert {line.split()[0] for line in github.commands(*unseen).splitlines()} == {"::error"}
    assert {line.split()[0] for line in github.commands(*unseen, allow_unseen=True).splitlines()} == {"::warning"}


def test_no_more_annotations_than_are_shown(good: list[Message]) -> None:
    lost = judged([one for one in good if one.is_ike and not one.flag("response")])
    lines = github.commands(lost, Source(Path("x.pcap"), None, 1, 0.0)).splitlines()
    assert sum(line.startswith("::error ") for line in lines) == github.MOST


# -- whatever is on the wire


def test_hostile_values_stay_values(hostile: tuple[Verdict, Source]) -> None:
    assert hostile[0].verdict == "fail"
    root = validated(junit.junit(*hostile))
    assert not list(root.iter("script"))
    (run,) = json.loads(sarif.sarif(*hostile))["runs"]
    assert any("<script>" in one["message"]["text"] for one in run["results"])
    assert "<script>" not in re.sub("` .* `", "", markdown.markdown(*hostile))  # a span of code shows what it holds
    for line in github.commands(*hostile).splitlines():
        assert re.match("::(error|warning) file=", line)


def test_terminals_are_not_driven_by_the_wire(hostile: tuple[Verdict, Source]) -> None:
    assert "\x1b" not in text(*hostile)
    assert "\x1b[31m" not in text(*hostile, Style(colour=True, columns=80))


# -- the command


def test_formats_are_printed_or_written(bad: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("text", "json", "junit", "sarif", "markdown")}
    options = [word for name, path in files.items() for word in ("--format", f"{name}={path}")]
    assert main([str(bad.capture), "--keys", str(bad.keys), *options, "--format", "junit"]) == 1
    assert capsys.readouterr().out == files["junit"].read_text()
    assert files["text"].read_text().startswith("FAIL  ")
    assert json.loads(files["json"].read_text())["verdict"] == "fail"
    assert json.loads(files["sarif"].read_text())["version"] == "2.1.0"
    assert files["markdown"].read_text().startswith("## ")
    validated(files["junit"].read_text())


def test_text_is_printed_beside_files(bad: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(bad.capture), "--keys", str(bad.keys), "--format", f"json={tmp_path / 'x.json'}"])
    assert capsys.readouterr().out.startswith("FAIL  ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "xml"], "argument --format: expected text, json, junit, sarif, markdown, or one of them with "),
        (["--format", "json="], "argument --format: expected text, json"),
        (["--format", "json", "--format", "sarif"], "only one format can be printed, not json and sarif: "),
        (["--format", "json=/nowhere/x.json"], "/nowhere/x.json: No such file or directory"),
    ],
)
def test_wrong_formats(options: list[str], says: str, bad: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bad.capture), *options]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"mn-dsmip check: {says}")
    assert (output.out, output.err.count("\n")) == ("", 1)


def test_annotations_in_actions_only(
    bad: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    main([str(bad.capture), "--keys", str(bad.keys)])
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    main([str(bad.capture), "--keys", str(bad.keys), "--format", "json"])
    output = capsys.readouterr()
    assert json.loads(output.out)
    assert output.err.startswith("::error file=")
