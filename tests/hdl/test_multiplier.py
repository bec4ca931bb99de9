"""The shared multiplier: every requester gets its own products, exact, in order and in time."""

from __future__ import annotations

import itertools

import pytest
from amaranth.sim import Simulator
from harness import rng

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.metrology.multiplier import Multiplier

DUAL = MeterConfig.for_model("MDNCT-1SC")
#: Calibration words are wider than its samples.
NARROW = MeterConfig(line=LINES[50], class_amps=5.0, sample_bits=16, sample_rate_hz=500.0)


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


def contend(config, work, pause):
    """Let every requester do its work; return, for each, when it waited, was served and had its products.

    ``work`` has a list of factors for each requester; ``pause()`` gives the clocks between two requests.
    """
    dut = Multiplier(config, len(work))
    count = len(work)
    waited, served, products = ([[] for _ in range(count)] for _ in range(3))
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
            await ctx.tick().repeat(Multiplier.latency + 1)

        return bench

    async def watch(ctx):
        ports = [
            port for each in dut.requests for port in (each.valid, each.ready, each.done, each.product)
        ]
        async for _, _, *values in ctx.tick().sample(*ports):
            dones = 0
            for number in range(count):
                valid, ready, done, product = values[4 * number : 4 * number + 4]
                if valid:
                    (served if ready else waited)[number].append(clock[0])
                if done:
                    products[number].append((clock[0], product))
                    dones += 1
            assert dones <= 1, "a product has one owner"
            clock[0] += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for number in range(count):
        sim.add_testbench(requester(number))
    sim.add_testbench(watch, background=True)
    sim.run()
    return waited, served, products


@pytest.mark.parametrize("config", [DUAL, NARROW], ids=["24 bit", "16 bit"])
@pytest.mark.parametrize("requesters", [1, 2, 4])
def test_products_are_exact_and_reach_their_requester(config, requesters):
    generator = rng(f"multiplier {requesters}")
    work = [factors(config, 80, generator) for _ in range(requesters)]
    waited, served, products = contend(config, work, lambda: generator.choice((0, 0, 0, 1, 2, 7)))
    for number in range(requesters):
        assert [product for _, product in products[number]] == [a * b for a, b in work[number]]
        assert [clock for clock, _ in products[number]] == [clock + Multiplier.latency for clock in served[number]]
    # The last is never kept waiting; the first has to, where there are others.
    assert not waited[-1]
    assert requesters == 1 or waited[0]
    every = sorted(itertools.chain(*served))
    assert len(every) == len(set(every)), "one is served in a clock"


def test_one_product_a_clock():
    generator = rng("throughput")
    work = [factors(DUAL, 50, generator) for _ in range(3)]
    _, served, products = contend(DUAL, work, lambda: 0)
    # All ask all the time: the last is served first, and no clock is lost.
    assert list(itertools.chain(*reversed(served))) == list(range(served[-1][0], served[-1][0] + 150))
    for number in range(3):
        assert [product for _, product in products[number]] == [a * b for a, b in work[number]]
