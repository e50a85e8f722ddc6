# SPDX-License-Identifier: GPL-2.0-or-later
"""Matching: repetitions, options, order, several UEs, and captures that begin in the middle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mn_dsmip.check.flow.language import load, parse
from mn_dsmip.check.flow.match import Outcome, fold, match
from mn_dsmip.check.model import Message
from mn_dsmip.check.separate import separate
from mn_dsmip.check.verdict import FAIL, INCONCLUSIVE, PASS
from tests.check.conftest import FLOW, Case, Check, judged, messages_of
from tests.check.forge import PUBLISHED, Forger, Subscriber, write_capture, write_keys


def written(folder: Path, forger: Forger) -> list[Message]:
    """The forger's trace through a file and tshark."""
    write_capture(folder / "trace.pcapng", forger.frames)
    return messages_of(folder / "trace.pcapng", write_keys(folder / "keys", forger.subscriber))


def _frame(message: Message) -> int:
    return message.frame


def outcomes(messages: list[Message], flow: Path = FLOW) -> dict[str, Outcome]:
    (session,) = separate(messages)
    return {result.step.name: result.outcome for result in match(session, load(flow)).results}


def test_every_step_of_the_good_trace(good: list[Message]) -> None:
    found = outcomes(good)
    skipped = {"ike-sa-init-first-request", "ike-sa-init-refusal", "eap-identity-response", "eap-identity-next"}
    assert {name for name, outcome in found.items() if outcome is Outcome.SKIPPED} == skipped
    assert set(found.values()) == {Outcome.MATCHED, Outcome.SKIPPED}
    assert judged(good).verdict == PASS


def test_cookie(tmp_path: Path) -> None:
    """IKE_SA_INIT -> COOKIE; IKE_SA_INIT with it -> answer."""
    forger = Forger()
    forger.router_advertisement()
    forger.discovery()
    forger.ike_sa_init(cookie=b"cookie" * 4)
    forger.ike_auth()
    forger.create_child_sa()
    forger.registration(1)
    forger.pings()
    forger.registration(2, first=False)
    forger.deregistration()
    forger.delete()
    messages = written(tmp_path, forger)
    assert outcomes(messages)["ike-sa-init-refusal"] is Outcome.MATCHED
    assert judged(messages).verdict == PASS


def test_repeated_ike_request(good: list[Message]) -> None:
    """The same octets again, request and answer: recognised, and no step of their own."""
    request, answer = good[7], good[8]
    again = [replace(request, frame=10, time=request.time + 1), replace(answer, frame=11, time=answer.time + 1)]
    trace = good[:9] + again + [replace(one, frame=one.frame + 2, time=one.time + 1) for one in good[9:]]
    (session,) = separate(trace)
    kept, repeats = fold(session)
    assert [(one.frame, other.frame) for one, other in repeats] == [(10, 8), (11, 9)]
    assert len(kept) == len(good)
    assert judged(trace).verdict == PASS


def sent_twice(answered: int) -> Forger:
    """BU 1, BU 2, then one acknowledgement, of either."""
    forger = Forger(replace(PUBLISHED, overwrite=True))
    forger.router_advertisement()
    forger.discovery()
    forger.ike_sa_init()
    forger.ike_auth()
    forger.create_child_sa()
    forger.registration(1)
    forger.registration(2)
    frames = {one.name: one for one in forger.frames}
    frames["ba-1"].time, frames["bu-2"].time = frames["bu-2"].time, frames["ba-1"].time
    forger.frames = [one for one in forger.frames if one.name != f"ba-{3 - answered}"]
    forger.pings()
    forger.registration(3, first=False)
    forger.deregistration(4)
    forger.delete()
    return forger


@pytest.mark.parametrize("answered", [1, 2])
def test_update_sent_again_with_higher_sequence(answered: int, tmp_path: Path) -> None:
    """RFC 6275: an acknowledgement may answer any outstanding update. That one is the step, the other repeats it."""
    messages = written(tmp_path, sent_twice(answered))
    verdict = judged(messages)
    (judgement,) = verdict.judgements
    numbers = {one.frame: one.number("sequence") for one in messages if one.kind == "binding_update"}
    repeats = [(numbers[one.frame], numbers[other.frame]) for one, other in judgement.match.repeats]
    assert repeats == [(3 - answered, answered)]
    assert verdict.verdict == PASS, judgement.problems


def test_answer_that_the_ue_did_not_get(good: list[Message]) -> None:
    """The capture shows an acknowledgement, the UE repeats its update all the same: the second pair counts."""
    update, answer = good[15], good[16]
    numbers = {"sequence": 11, "esp_sequence": 11}
    again = [
        replace(update, frame=18, time=update.time + 1.5, fields={**update.fields, **numbers}, content="again"),
        replace(answer, frame=19, time=answer.time + 1.5, fields={**answer.fields, **numbers}, content="once more"),
    ]
    later = [
        replace(one, frame=one.frame + 2, fields={**one.fields, "sequence": one.number("sequence") + 10})
        if one.is_mobility
        else replace(one, frame=one.frame + 2)
        for one in good[17:]
    ]
    verdict = judged([*good[:17], *again, *later])
    (judgement,) = verdict.judgements
    assert [(one.frame, other.frame) for one, other in judgement.match.repeats] == [(16, 18), (17, 19)]
    assert verdict.verdict == PASS, judgement.problems


def test_lost_ping_is_followed_by_another(good: list[Message]) -> None:
    """The first request has no reply: the step is the first request that has one."""
    trace = [one for one in good if one.frame != 19]
    (session,) = separate(trace)
    found = {one.step.name: one.message.frame for one in match(session, load(FLOW)).results if one.message}
    assert (found["echo-request-in-tunnel"], found["echo-reply-in-tunnel"]) == (24, 25)
    assert judged([one for one in good if one.frame not in (19, 25)]).verdict == FAIL


def test_attempt_that_led_to_nothing(tmp_path: Path) -> None:
    """The first IKE SA is given up half way, the second comes up: only that one is matched."""
    lost = replace(PUBLISHED, spi_i=bytes.fromhex("0102030405060708"), first_spis=(1, 2), spis=(3, 4))
    first = Forger(lost, start=1_799_999_990.0)
    first.ike_sa_init()
    first.ike_auth()
    frames = [one for one in first.frames if not one.name.startswith("ike-auth-3")] + Forger().whole().frames
    write_capture(tmp_path / "trace.pcapng", frames)
    messages = messages_of(tmp_path / "trace.pcapng", write_keys(tmp_path / "keys", first.subscriber, PUBLISHED))
    verdict = judged(messages)
    (judgement,) = verdict.judgements
    assert verdict.verdict == PASS, judgement.problems
    assert [one.frame for one in judgement.session.abandoned] == list(range(1, 7))


def test_steps_out_of_order_are_told(good: list[Message]) -> None:
    """The answer stands where it is not expected: it is missing, and the nearest candidate is named."""
    late = [replace(one, frame=100) if one.frame == 17 else one for one in good if one.frame <= 21]
    moved = sorted([*late, *(replace(one, frame=one.frame + 100) for one in good if one.frame > 21)], key=_frame)
    (session,) = separate(moved)
    result = next(one for one in match(session, load(FLOW)).results if one.step.name == "registration-acknowledged")
    assert result.outcome is Outcome.MISSING
    assert result.nearest is not None and result.nearest.kind == "binding_acknowledgement"


def test_any_order_and_repeat(good: list[Message]) -> None:
    """Refreshes may come before, between and after the pings, and more than once."""
    refresh = [one for one in good if one.frame in (22, 23)]
    rest = [one for one in good if one.frame not in (22, 23)]
    early = [replace(one, frame=one.frame + 100) for one in rest if one.frame >= 18]
    trace = [one for one in rest if one.frame < 18] + [replace(one, frame=one.frame + 10) for one in refresh] + early
    assert judged(trace).verdict == PASS
    twice = [
        replace(
            one,
            frame=one.frame + 200 - 22,
            fields={**one.fields, "sequence": 3, "esp_sequence": 3},
            content=f"again {one.frame}",
        )
        for one in refresh
    ]
    end = [
        replace(one, frame=one.frame + 300, fields={**one.fields, "sequence": 4, "esp_sequence": 4})
        if one.is_mobility
        else replace(one, frame=one.frame + 300)
        for one in good
        if one.frame >= 28
    ]
    longer = [one for one in good if one.frame < 28] + twice + end
    verdict = judged(longer)
    assert verdict.verdict == PASS, verdict.judgements[0].problems
    rounds = [one for one in verdict.judgements[0].match.results if one.step.name == "refresh"]
    assert [one.message.frame for one in rounds if one.message] == [22, 200]


def test_three_interleaved_ues(interleaved: tuple[Case, list[Subscriber]], check: Check) -> None:
    case, subscribers = interleaved
    status, verdict = check(case.capture)
    assert (status, verdict["verdict"]) == (0, "pass")
    assert [one["care_of_address"] for one in verdict["sessions"]] == [str(one.care_of) for one in subscribers]
    assert [one["home_prefixes"] for one in verdict["sessions"]] == [[str(one.prefix)] for one in subscribers]
    assert all(one["verdict"] == "pass" for one in verdict["sessions"])


def test_only_the_wrong_ue_of_three_fails(
    interleaved: tuple[Case, list[Subscriber]], check: Check, tmp_path: Path
) -> None:
    """UE 2 sends its update on UE 3's SA: the others are none the worse."""
    case, subscribers = interleaved
    trace = case.damaged()
    updates = trace.mobility(5)
    mine = next(one for one in updates if subscribers[1].care_of.packed in trace.frame(one).data)
    trace.edit_mobility(mine, spi=subscribers[2].spis[1], esp_sequence=77)
    status, verdict = check(trace.save(tmp_path / "trace.pcapng"), "--keys", str(case.keys))
    assert (status, verdict["verdict"]) == (1, "fail")
    assert [one["verdict"] for one in verdict["sessions"]] == ["pass", "fail", "pass"]
    (finding,) = [one for one in verdict["sessions"][1]["findings"] if one["severity"] == "violation"]
    assert finding["rule"] == "MH-SA"
    assert finding["differences"][0]["actual"] == f"0x{subscribers[2].spis[1]:08x}"


def test_two_ues_with_the_same_initiator_spi(tmp_path: Path) -> None:
    """Each chose its SPI by itself; only the pair of SPIs names an IKE SA."""
    second = replace(PUBLISHED.numbered(1), spi_i=PUBLISHED.spi_i)
    frames = Forger().whole().frames + Forger(second, start=1_800_000_000.005).whole().frames
    write_capture(tmp_path / "trace.pcapng", frames)
    messages = messages_of(tmp_path / "trace.pcapng", write_keys(tmp_path / "keys", PUBLISHED, second))
    verdict = judged(messages)
    assert [one.verdict for one in verdict.judgements] == [PASS, PASS]


def test_attach_again_after_detach(tmp_path: Path) -> None:
    """One UE, two sessions one after the other: each has its own discovery, IKE SA and verdict."""
    second = replace(PUBLISHED.numbered(1), care_of=PUBLISHED.care_of, spi_i=bytes.fromhex("0102030405060708"))
    frames = Forger().whole().frames + Forger(second, start=1_800_000_060.0).whole().frames
    write_capture(tmp_path / "trace.pcapng", frames)
    messages = messages_of(tmp_path / "trace.pcapng", write_keys(tmp_path / "keys", PUBLISHED, second))
    verdict = judged(messages)
    assert [one.verdict for one in verdict.judgements] == [PASS, PASS]


@pytest.mark.parametrize("first", [2, 6, 8, 14, 16])
def test_capture_that_begins_late(first: int, good: list[Message]) -> None:
    """What was before cannot be judged: not a failure, and never a pass."""
    verdict = judged([one for one in good if one.frame >= first])
    (judgement,) = verdict.judgements
    if first == 2:  # only the Router Advertisement, which is optional
        assert verdict.verdict == PASS
        return
    assert verdict.verdict == INCONCLUSIVE, judgement.problems
    assert judgement.unseen_steps[0].reason == f"the capture starts later, with frame {first}"


def test_missing_in_the_middle_is_no_late_start(good: list[Message]) -> None:
    verdict = judged([one for one in good if one.frame not in (6, 7)])
    assert verdict.verdict == FAIL


def test_nothing_found_is_a_failure() -> None:
    assert judged([]).verdict == FAIL


def test_prohibition_between_two_steps(good: list[Message]) -> None:
    text = """\
version: 1
name: x
steps:
  - {step: first, message: binding_update, where: {sequence: 1}}
  - {step: last, message: binding_update, where: {sequence: 3}}
forbidden:
  - {never: nothing-between, message: binding_update, after: first, before: last, clause: RFC 0}
  - {never: not-after, message: tunnelled, after: last, clause: RFC 0}
"""
    (session,) = separate(good)
    results = match(session, parse(text, Path("x.yaml"))).results
    assert [(one.step.name, one.outcome, one.message and one.message.frame) for one in results[2:]] == [
        ("nothing-between", Outcome.FORBIDDEN, 22)
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_list_of_messages_has_a_verdict(data: st.DataObject, good: list[Message]) -> None:
    """Messages dropped, repeated, reordered, hidden: never an exception, and a changed trace that passes has all."""
    places = data.draw(st.lists(st.integers(0, len(good) - 1), max_size=40))
    hidden = data.draw(st.sets(st.integers(0, len(places)), max_size=5))
    trace = [
        replace(good[place], frame=frame, hidden="no key" if frame in hidden else "")
        for frame, place in enumerate(places, 1)
    ]
    verdict = judged(trace)
    assert verdict.verdict in (PASS, FAIL, INCONCLUSIVE)
    if verdict.verdict == PASS:
        assert {one.frame for one in good if one.is_ike} <= {good[place].frame for place in places}
