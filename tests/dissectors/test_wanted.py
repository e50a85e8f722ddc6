# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector does less where tshark's command line says that nobody looks; what is looked at stays the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.dissectors.packets import violations
from tests.dissectors.packets.plain import DISSECTORS
from tests.dissectors.packets.tshark import SCRIPT, run

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
CASES = sorted(path.parent.name for path in CAPTURES.glob("*/trace.pcapng"))
BY = """
package.path = arg[1] .. "/?.lua"
local words = {}
for i = 3, #arg do words[#words + 1] = arg[i] end
print(require("dsmip.wanted").by(words, arg[2]))
"""

LEVELS = [
    ("tshark -n -r f.pcap", "words"),
    ("/usr/bin/tshark -nrf.pcap -X lua_script:dissectors/dsmip.lua -o esp.enable_encryption_decode:TRUE", "words"),
    ("tshark -r f.pcap -Y mipv6", "words"),
    ("tshark -r f.pcap -T fields -e ipv6.src -e mip6.mhtype -E separator=,", "nothing"),
    ("tshark -r f.pcap -Tfields -eframe.number -C profile", "nothing"),
    ("tshark -r f.pcap -T fields -e ipv6.src -Y dsmip.session", "everything"),
    ("tshark -r f.pcap -T fields -e ipv6.src dsmip.session==1", "everything"),
    ("tshark -r f.pcap -T fields -e ipv6.src -e dsmip.step", "everything"),
    ("tshark -r f.pcap -T fields -e _ws.col.Info", "everything"),
    ("tshark -r f.pcap -T fields -e frame.protocols", "everything"),
    ("tshark -r f.pcap -T fields -Y ${macro} -e ipv6.src", "everything"),
    ("tshark -r f.pcap -T fields -e ipv6.src -X lua_script:other.lua", "everything"),
    ("tshark -r f.pcap -T fields -e ipv6.src -z expert", "everything"),
    ("tshark -2 -r f.pcap", "everything"),
    ("tshark -r f.pcap -V", "everything"),
    ("tshark -r f.pcap -T ek", "everything"),
    ("tshark -r f.pcap -C DS-MIPv6", "everything"),
    ("tshark -r f.pcap --color", "everything"),
    ('tshark -r f.pcap -o gui.column.format:"UE","%Cus:dsmip.ue:0:R"', "everything"),
    ("sharkd -", "everything"),
    ("wireshark f.pcap", "everything"),
    ("", "everything"),
]


def by(interpreter: str, words: str, preferences: str = "") -> str:
    command = [interpreter, "-", str(DISSECTORS), preferences, *words.split()]
    return subprocess.run(command, input=BY, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


@pytest.mark.parametrize(("words", "level"), LEVELS)
@pytest.mark.parametrize("lua", ["lua5.2", "lua5.4"])
def test_what_a_command_line_leaves_to_look_at(lua: str, words: str, level: str) -> None:
    assert by(lua, words) == level


def test_a_column_of_the_preferences_may_be_ours() -> None:
    column = 'gui.column.format:\n\t"Step", "%Cus:dsmip.step:0:R"\n'
    assert by("lua5.2", "tshark -r f.pcap", column) == "everything"
    assert by("lua5.2", "tshark -r f.pcap -T fields -e ipv6.src", column) == "nothing"


def lines(case: str, keys: bool, *options: str, script: bool = True) -> list[str]:
    folder = CAPTURES / case
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder / ("wireshark" if keys else "none")), "TZ": "UTC"}
    words = ["tshark", "-n", "-r", str(folder / "trace.pcapng"), *options]
    words += ["-X", f"lua_script:{SCRIPT}"] if script else []
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert "Lua Error" not in result.stdout + result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("case", CASES)
def test_the_sentences_are_the_same_whatever_else_is_wanted(case: str, keys: bool) -> None:
    alone, beside = (
        [line.partition(" | S2c")[2] for line in lines(case, keys, *options)]
        for options in ((), ("-Y", "dsmip or not dsmip"))
    )
    assert alone == beside
    assert any(alone)


def test_what_is_wrong_is_said_whatever_else_is_wanted(tmp_path: Path) -> None:
    capture, said = violations.write(tmp_path), []
    for options in ((), ("-Y", "dsmip or not dsmip"), ("-2",)):
        shown = run(capture, *violations.OPTIONS, *options).stdout.splitlines()
        said.append([line.partition(" ! ")[2] for line in shown if " | S2c" in line])
    assert said[0] == said[1] == said[2]
    assert [line.partition(" | S2c")[0] for line in said[0] if line] == [
        "Lifetime 3604 s granted, 3600 s asked for in frame 7",
        "2001:db8:1:7::100 is not in the home network prefix 2001:db8:9:9::/64",
        "Refused: status 132, not home subnet",
        "This SA is for the home address 2001:db8:1:1::100",
        "Sequence number 7, the last Binding Update had 2",
        "Without ESP, though IKEv2 set up an SA",
        "BU without Alternate Care-of Address option (3): ESP does not protect the source address",
    ]


def test_traffic_after_a_detach_is_told_to_those_who_look_for_remarks_alone(tmp_path: Path) -> None:
    capture = violations.write(tmp_path)
    assert (
        "Traffic of a home address whose session ended in frame 26"
        in run(capture, *violations.OPTIONS, "-q", "-z", "expert").stdout
    )
    last = run(capture, *violations.OPTIONS, "-2").stdout.splitlines()[-1]
    assert last.endswith(" ! Traffic of a home address whose session ended in frame 26")


FORGET = """
for _, place in ipairs({ { "ip.proto", 135 }, { "ip.proto", 50 }, { "udp.port", 500 }, { "udp.port", 4500 },
    { "udp.port", 53 }, { "udp.port", 546 }, { "udp.port", 547 } }) do
  local dissectors = DissectorTable.get(place[1])
  dissectors:remove(place[2], dissectors:get_dissector(place[2]))
end
"""


@pytest.mark.parametrize("case", CASES)
def test_reloaded_plugins_put_back_what_wireshark_forgot(tmp_path: Path, case: str) -> None:
    """Reload Lua Plugins takes our listeners out of the tables and leaves those places empty."""
    (tmp_path / "forget.lua").write_text(FORGET)
    fields = [word for name in ("_ws.col.Info", "dsmip.session", "dsmip.step", "dsmip.hoa") for word in ("-e", name)]
    forgotten = ["-X", f"lua_script:{tmp_path / 'forget.lua'}"]
    before = lines(case, True, "-T", "fields", *fields)
    assert lines(case, True, "-T", "fields", *fields, *forgotten) == before
    without = lines(case, True, *forgotten, script=False)
    assert not any("IKE_AUTH" in line or "Binding" in line for line in without)


@pytest.mark.parametrize("case", CASES)
def test_fields_of_others_are_the_same_with_and_without(case: str) -> None:
    asked = [word for name in ("ipv6.src", "isakmp.exchangetype", "mip6.mhtype", "esp.spi") for word in ("-e", name)]
    options = ["-T", "fields", *asked, "-d", "udp.port==4191,data"]
    assert lines(case, True, *options) == lines(case, True, *options, script=False)
