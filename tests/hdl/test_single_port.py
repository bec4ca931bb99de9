"""The memory with a single port: equal to a plain one, and made of what the device has."""

from __future__ import annotations

import gc

import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from harness import rng

from blondel.boards import BOARDS
from blondel.hdl.store.single_port import SinglePortMemory


@pytest.mark.parametrize(("width", "depth"), [(1, 2), (59, 64), (64, 48)])
def test_equals_a_list_of_words(width, depth):
    random = rng(f"single port {width} {depth}")
    memory = SinglePortMemory(width, depth)
    words: dict[int, int] = {}
    reads = []

    async def bench(ctx):
        for _ in range(20 * depth):
            address, write = random.randrange(depth), random.random() < 0.5
            word = random.getrandbits(width)
            ctx.set(memory.addr, address)
            ctx.set(memory.write, write)
            ctx.set(memory.wdata, word)
            await ctx.tick()
            if write:
                words[address] = word
            elif address in words:
                reads.append((ctx.get(memory.rdata), words[address]))

    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert len(reads) > 5
    assert all(got == wanted for got, wanted in reads)


def test_words_are_not_zero_before_they_are_written():
    memory = SinglePortMemory(59, 64)
    seen = []

    async def bench(ctx):
        for address in range(64):
            ctx.set(memory.addr, address)
            await ctx.tick()
            seen.append(ctx.get(memory.rdata))

    sim = Simulator(memory)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert all(seen)


@pytest.mark.parametrize(("width", "blocks"), [(16, 1), (17, 2), (59, 4), (64, 4)])
def test_a_up5k_has_large_rams_for_it(width, blocks):
    text = rtlil.convert(SinglePortMemory(width, 2048), platform=BOARDS["icebreaker"].platform())
    assert text.count(r"cell \SB_SPRAM256KA") == blocks
    assert "SB_SPRAM256KA" not in rtlil.convert(SinglePortMemory(width, 2048), platform=BOARDS["hx8k-b-evn"].platform())


# It is never used.
@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_more_words_than_a_large_ram_has_are_refused():
    with pytest.raises(ValueError, match="depth is 16385; allowed: up to 16384"):
        SinglePortMemory(8, 16385)
    gc.collect()
