"""The shared multipliers: every requester gets its own products, exact, in order and in time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from amaranth.sim import Simulator
from harness import rng

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.metrology.multiplier import Multiplier, SerialMultiplier

DUAL = MeterConfig.for_model("MDNCT-1SC")
#: Calibration words are wider than its samples.
NARROW = MeterConfig(line=LINES[50], class_amps=5.0, sample_bits=16, sample_rate_hz=500.0)


MULTIPLIERS = pytest.mark.parametrize("multiplier", [Multiplier, SerialMultiplier])


def extremes(bits: int) -> tuple[int, ...]:
    """Return the ends of ``signed(bits)`` and what is next to zero."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1, -1, 0, 1


def factors(config, count, generator) -> list[tuple[int, int]]:
    """Return pairs of factors: all pairs of extremes, then random ones."""
    a_bits, b_bits = config.path_bits + 1, config.factor_bits
    pairs = list(itertools.product(extremes(a_bits), extremes(b_bits)))
    pairs += [
        (generator.getrandbits(a_bits) - (1 << (a_bits - 1)), generator.getrandbits(b_bits) - (1 << (b_bits - 1)))
        for _ in range(count - len(pairs))
    ]
    generator.shuffle(pairs)
    return pairs


@dataclass
class Requester:
    """What a requester saw: the clocks in which requests began and were ``ready``, and the products with theirs."""

    asked: list[int] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    products: list[tuple[int, int]] = field(default_factory=list)


def contend(dut, work, pause) -> list[Requester]:
    """Let every requester do its work.

    ``work`` has a list of factors for each requester; ``pause()`` gives the clocks between two requests. As the
    stages do, a requester waits for its product before it asks again.
    """
    count = len(work)
    seen = [Requester() for _ in work]
    clock = [0]

    def requester(number):
        request = dut.requests[number]

        async def bench(ctx):
            for a, b in work[number]:
                for _ in range(pause()):
                    await ctx.tick()
                ctx.set(request.a, a)
                ctx.set(request.b, b)
                ctx.set(request.valid, 1)
                await ctx.tick().until(request.ready)
                ctx.set(request.valid, 0)
                # They may change now, and must not matter any more.
                ctx.set(request.a, ~a)
                ctx.set(request.b, ~b)
                await ctx.tick().until(request.done)

        return bench

    async def watch(ctx):
        ports = [port for each in dut.requests for port in (each.valid, each.ready, each.done, each.product)]
        async for _, _, *values in ctx.tick().sample(*ports):
            dones = 0
            for number in range(count):
                valid, ready, done, product = values[4 * number : 4 * number + 4]
                each = seen[number]
                if valid and len(each.asked) == len(each.served):
                    each.asked.append(clock[0])
                if valid and ready:
                    each.served.append(clock[0])
                if done:
                    each.products.append((clock[0], product))
                    dones += 1
            assert dones <= 1, "a product has one owner"
            clock[0] += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for number in range(count):
        sim.add_testbench(requester(number))
    sim.add_testbench(watch, background=True)
    sim.run()
    for each, pairs in zip(seen, work, strict=True):
        assert [product for _, product in each.products] == [a * b for a, b in pairs]
        assert all(served < done for served, (done, _) in zip(each.served, each.products, strict=True))
    return seen


@pytest.mark.parametrize("config", [DUAL, NARROW], ids=["24 bit", "16 bit"])
@pytest.mark.parametrize("requesters", [1, 2, 4])
@MULTIPLIERS
def test_products_are_exact_and_reach_their_requester(multiplier, config, requesters):
    generator = rng(f"multiplier {requesters}")
    work = [factors(config, 80, generator) for _ in range(requesters)]
    dut = multiplier(config, requesters)
    seen = contend(dut, work, lambda: generator.choice((0, 0, 0, 1, 2, 7)))
    waits = [[done - asked for asked, (done, _) in zip(each.asked, each.products, strict=True)] for each in seen]
    if requesters == 1:
        assert set(waits[0]) == {dut.latency}
    # The last waits for one product at most; the first for more, where there are two others.
    assert dut.latency <= max(waits[-1]) < 2 * dut.latency + 1
    assert requesters < 3 or max(waits[0]) > (4 if multiplier is Multiplier else 2 * dut.latency)


@MULTIPLIERS
def test_the_last_is_served_first(multiplier):
    work = [[(number, number + 1)] for number in range(4)]
    dut = multiplier(DUAL, 4)
    seen = contend(dut, work, lambda: 0)
    times = [each.products[0][0] for each in reversed(seen)]
    # All ask at once: no clock is lost.
    step = 1 if multiplier is Multiplier else dut.latency
    assert times == list(range(times[0], times[0] + 4 * step, step))
