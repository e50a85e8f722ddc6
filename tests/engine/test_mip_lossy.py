# SPDX-License-Identifier: GPL-2.0-or-later
"""Mobile node and home agent over a path that loses, repeats, delays and reorders, for many seeds."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from ipaddress import IPv4Address

import pytest

from mn_dsmip.engine.mip.config import MobileConfig
from mn_dsmip.engine.mip.events import BindingExpired, Deregistered, RegistrationFailed
from mn_dsmip.engine.mip.mobile import State
from mn_dsmip.engine.mip.packet import is_newer
from mn_dsmip.wire.mobility import BindingUpdate, build_mobility, parse_mobility
from tests.engine.mip_pair import HOME, HOME_AGENT, Pair

SEEDS = 400


class Path:
    """Delivers what the two ends send, as octets, whenever and as often as the seed says."""

    def __init__(self, seed: int, loss: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.pair = Pair(
            MobileConfig(lifetime=120, ipv4_home_address=IPv4Address(0)), sequence=self.random.randrange(65536)
        )
        self.queue: list[tuple[float, int, bool, object]] = []
        self.sent: list[tuple[float, BindingUpdate]] = []
        self.order = 0

    def send(self) -> None:
        pair = self.pair
        pair.settle()
        for upwards, out in ((True, pair.updates), (False, pair.answers)):
            while out:
                packet = out.popleft()
                ends = (HOME, HOME_AGENT) if upwards else (HOME_AGENT, HOME)
                if upwards:
                    self.sent.append((pair.now, packet.message))
                octets = build_mobility(packet.message, *ends)
                packet = packet._replace(message=parse_mobility(octets, *ends))
                for _ in range(self.random.choice((1, 1, 1, 2))):
                    if self.random.random() >= self.loss:
                        self.order += 1
                        arrival = pair.now + self.random.expovariate(4)
                        heapq.heappush(self.queue, (arrival, self.order, upwards, packet))

    def step(self) -> None:
        """The next thing that happens: an arrival or a timer."""
        pair = self.pair
        self.send()
        times = [engine.next_timer() for engine in (pair.mobile, pair.home_agent)]
        timer = min((time for time in times if time is not None), default=None)
        if self.queue and (timer is None or self.queue[0][0] <= timer):
            pair.now, _, upwards, packet = heapq.heappop(self.queue)
            if upwards:
                pair.home_agent.receive(packet, pair.authorization, pair.now)
            else:
                pair.mobile.receive(packet.message, pair.now)
        elif timer is not None:
            pair.wait()
        self.check()

    def check(self) -> None:
        """What must hold at any moment: the home agent's binding covers the mobile node's."""
        pair = self.pair
        if pair.mobile.state in (State.BOUND, State.REFRESHING):
            binding = pair.home_agent.binding(HOME)
            assert binding is not None
            assert binding.expires >= pair.now + pair.mobile.lifetime_left(pair.now) - 1e-6
            assert binding.ipv4_home_address == pair.mobile.ipv4_home_address

    def run(self, seconds: float) -> None:
        end = self.pair.now + seconds
        while (self.queue or self.pair.mobile.next_timer() is not None) and self.pair.now < end:
            self.step()


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.4])
def test_registration_converges_and_never_overstates(loss: float) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(SEEDS):
        path = Path(seed, loss)
        pair = path.pair
        pair.mobile.register(0.0)
        path.run(60)
        outcomes["bound in a minute"] += pair.mobile.state in (State.BOUND, State.REFRESHING)
        path.run(240)  # refreshes by timer
        outcomes["expired"] += bool(pair.mobile_events(BindingExpired))
        assert pair.mobile_events(RegistrationFailed) == []
        pair.mobile.deregister(pair.now)
        path.run(30)
        [over] = pair.mobile_events(Deregistered)
        outcomes["confirmed"] += over.confirmed
        assert pair.mobile.state is State.UNBOUND
        if over.confirmed:
            assert pair.home_agent.bindings() == []
        check_sequence_and_rate(path.sent)
    assert outcomes["bound in a minute"] >= SEEDS * (0.99 if loss <= 0.2 else 0.9)
    assert outcomes["confirmed"] >= SEEDS * (0.95 if loss <= 0.2 else 0.7)
    assert outcomes["expired"] == 0 or loss > 0.2


def check_sequence_and_rate(sent: list[tuple[float, BindingUpdate]]) -> None:
    times = [time for time, _ in sent]
    assert all(later - earlier >= 1 - 1e-9 for earlier, later in zip(times, times[3:], strict=False))
    numbers = [update.sequence for _, update in sent]
    assert all(is_newer(later, earlier) for earlier, later in itertools.pairwise(numbers))


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        path = Path(7, 0.3)
        path.pair.mobile.register(0.0)
        path.run(300)
        runs.append(path.sent)
    assert runs[0] == runs[1] and len(runs[0]) > 3
