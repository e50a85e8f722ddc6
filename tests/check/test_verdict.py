# SPDX-License-Identifier: GPL-2.0-or-later
"""The command: verdicts and exit statuses, the report that people read, the folder of a run."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mn_dsmip.check import cli, main
from tests.check import damage
from tests.check.conftest import FLOW, Case, Check
from tests.check.forge import PUBLISHED, write_keys

ROOT = Path(__file__).parents[2]


def without_keys(case: Case, folder: Path) -> Path:
    return Path(shutil.copy(case.capture, folder / "alone.pcapng"))


def a_run(case: Case, folder: Path) -> Path:
    """A folder as a run leaves it, with more in it than the checker may look at."""
    run = folder / "run"
    (run / "journal").mkdir(parents=True)
    (run / "config").mkdir()
    shutil.copy(case.capture, run / "trace.pcapng")
    shutil.copytree(case.keys, run / "wireshark")
    (run / "journal" / "ue1.jsonl").write_text('{"version": 1, "event": "attached"}\n')
    (run / "config" / "ue1.yaml").write_text("version: 1\n")
    (run / "run.json").write_text('{"version": 1}\n')
    return run


def test_without_keys_it_is_inconclusive(forged: Case, check: Check, tmp_path: Path) -> None:
    status, verdict = check(without_keys(forged, tmp_path))
    assert (status, verdict["verdict"]) == (1, "inconclusive")
    assert [one for one in verdict["sessions"][0]["findings"] if one["severity"] == "violation"] == []
    reasons = {one["reason"] for one in verdict["sessions"][0]["unseen"] if "step" in one}
    assert "no key for IKE SA 1122334455667788" in reasons
    assert "no key for ESP SPI 0xd0000002" in reasons
    assert check(without_keys(forged, tmp_path), "--allow-unseen")[0] == 0


def test_wrong_keys_are_inconclusive_and_named(
    forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = write_keys(tmp_path / "wrong", PUBLISHED)
    for name in ("ikev2_decryption_table", "esp_sa"):
        text = (keys / name).read_text()
        for old, new in (("29fdc3", "30fdc3"), ("dcf51f", "ddf51f"), ("0x0c1b", "0x0c1c")):
            text = text.replace(old, new)
        (keys / name).write_text(text)
    status = cli.main([str(forged.capture), "--keys", str(keys)])
    output = capsys.readouterr().out
    assert status == 1
    assert output.startswith("INCONCLUSIVE  ")
    told = " ".join(output.split())
    assert "wrong key for IKE SA 1122334455667788: nothing under it opens" in told
    assert "wrong key for ESP SPI 0xd0000002: nothing under it opens" in told


def test_some_keys_missing(forged: Case, check: Check, tmp_path: Path) -> None:
    """IKE can be read, ESP cannot: what is visible is judged, the rest is not a pass."""
    (tmp_path / "ikev2_decryption_table").write_text((forged.keys / "ikev2_decryption_table").read_text())
    status, verdict = check(forged.capture, "--keys", str(tmp_path), "--flow", "initial-attach")
    assert (status, verdict["verdict"]) == (1, "inconclusive")
    outcomes = {one["step"]: one["outcome"] for one in verdict["sessions"][0]["steps"]}
    assert outcomes["ike-auth-home-prefix"] == "matched"
    assert outcomes["registration"] == outcomes["refresh"] == outcomes["deregistration-acknowledged"] == "unseen"


def test_what_is_wrong_in_the_clear_fails_without_keys(forged: Case, check: Check, tmp_path: Path) -> None:
    trace = forged.damaged()
    trace.drop(trace.ike(34, True)[0])
    capture = trace.save(tmp_path / "alone.pcapng")
    status, verdict = check(capture, "--allow-unseen")
    assert (status, verdict["verdict"]) == (1, "fail")


def test_a_run_gets_its_verdict(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(forged, tmp_path)
    assert main([str(run)]) == 0
    assert (run / "verdict.txt").read_text() == capsys.readouterr().out
    written = json.loads((run / "verdict.json").read_text())
    assert (written["version"], written["verdict"], written["flow"]) == (1, "pass", "attach")


def test_verdict_uses_only_capture_and_keys(forged: Case, tmp_path: Path) -> None:
    """With journal, configuration and run.json gone, not an octet of the verdict differs."""
    run = a_run(forged, tmp_path)
    main([str(run)])
    before = (run / "verdict.json").read_bytes()
    for name in ("journal", "config"):
        shutil.rmtree(run / name)
    for name in ("run.json", "verdict.txt", "verdict.json"):
        (run / name).unlink()
    main([str(run)])
    assert (run / "verdict.json").read_bytes() == before


def test_a_case_brings_its_own_flow_and_stays_as_it_is(forged: Case, check: Check, tmp_path: Path) -> None:
    case = a_run(forged, tmp_path)
    (case / "flow.yaml").write_text(
        "version: 1\nname: own\nsteps:\n- {step: hello, message: ike_sa_init, where: {response: false}}\n"
    )
    status, verdict = check(case)
    assert (status, verdict["flow"]) == (0, "own")
    assert not (case / "verdict.txt").exists()
    assert check(case, "--flow", "initial-attach")[1]["flow"] == "initial-attach"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_verdict_belongs_to_the_owner_of_the_run(forged: Case, tmp_path: Path) -> None:
    run = a_run(forged, tmp_path)
    os.chown(run, 65534, 65534)
    main([str(run)])
    assert {(run / name).stat().st_uid for name in ("verdict.txt", "verdict.json")} == {65534}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--flow", "initial-atach"], "--flow initial-atach: no such file, and no flow of that name; there is: "),
        (["--keys", "/nowhere"], "/nowhere: there is no such folder of keys"),
    ],
)
def test_unusable_input_is_one_line(
    arguments: list[str], says: str, forged: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(forged.capture), *arguments]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"mn-dsmip check: {says}")
    assert (output.out, output.err.count("\n")) == ("", 1)


def test_wrong_flow_is_unusable_input(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nname: x\nsteps:\n- {step: a, message: bindin_update}\n")
    assert main([str(forged.capture), "--flow", str(tmp_path / "bad.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"mn-dsmip check: {tmp_path / 'bad.yaml'}:4: message: there is no kind 'bindin_update'; "
        "did you mean 'binding_update'?\n"
    )


def test_folder_without_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"mn-dsmip check: {tmp_path}: the folder has no trace.pcapng\n"


def test_nothing_found(tmp_path: Path, forged: Case, capsys: pytest.CaptureFixture[str]) -> None:
    trace = forged.damaged()
    trace.drop(*range(2, 32))
    assert main([str(trace.save(tmp_path / "quiet.pcapng"))]) == 1
    assert "Nothing of the flow was found" in capsys.readouterr().out


def test_wrong_arguments_do_not_end_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "initial-attach" in capsys.readouterr().out


def test_report_for_people(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first divergence first: step with file and line, frame, field, expected, actual, clause, command."""
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    capture = trace.save(tmp_path / "wrong sequence.pcapng")
    assert main([str(capture), "--keys", str(forged.keys), "--flow", "initial-attach"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"FAIL  {capture} against the flow initial-attach"
    at = lines.index("  What is wrong, the first divergence first")
    number = next(
        index for index, text in enumerate(FLOW.read_text().splitlines(), 1) if "step: registration-ack" in text
    )
    flow = FLOW.relative_to(Path.cwd()) if Path.cwd() in FLOW.parents else FLOW
    assert lines[at + 1 : at + 4] == [
        f"  1. step registration-acknowledged ({flow}:{number}): binding_acknowledgement in frame 17 at 0.160 s",
        "     sequence: expected 1 ($sequence); actual 7",
        "     clause: RFC 6275 9.5.4",
    ]
    assert lines[at + 4].startswith(f"     look at it: WIRESHARK_CONFIG_DIR={forged.keys} tshark -n -r '{capture}' ")
    assert lines[at + 4].endswith("-Y 'frame.number == 17' -V")
    assert any(line.startswith("  steps: 26 of 27 as expected; rules: ") for line in lines)


def test_the_command_that_is_offered_works(forged: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = forged.damaged()
    trace.edit_mobility(trace.mobility(6)[0], damage.set_sequence(6, 7))
    main([str(trace.save(tmp_path / "it's wrong.pcapng")), "--keys", str(forged.keys)])
    command = capsys.readouterr().out.split("look at it: ")[1].splitlines()[0]
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert "Binding Acknowledgement" in done.stdout
    assert "Sequence number: 7" in done.stdout


def test_output_may_be_closed_early(forged: Case) -> None:
    command = f"{sys.executable} -m mn_dsmip.check {forged.capture} | head -c 1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_judge_shares_no_code_with_the_player() -> None:
    """`check` imports of mn_dsmip only itself, resources and the version; one module only talks to pyshark."""
    allowed = ("mn_dsmip.check", "mn_dsmip.resources")
    for file in sorted((ROOT / "mn_dsmip" / "check").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "mn_dsmip":
                names += [f"mn_dsmip.{one.name}" for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(str(node.module))
            for name in names:
                inside = name == "mn_dsmip" or name in allowed or name.startswith("mn_dsmip.check.")
                inside |= name == "mn_dsmip.__version__"
                assert inside or not name.startswith("mn_dsmip"), f"{file.name} imports {name}"
                assert not name.startswith(("scapy", "cryptography")), f"{file.name} imports {name}"
                assert not name.startswith("pyshark") or file.name == "pyshark_reader.py", f"{file.name} imports {name}"
