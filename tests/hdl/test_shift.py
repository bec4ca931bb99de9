"""The shift register, in front of a chain of 74HC595."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator
from harness import PoisonedMemory, rng

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.shift import ShiftRegister
from blondel.hdl.outputs.pulses import LEVELS


class Chain:
    """74HC595s in a row: SER is shifted in at SRCLK's rising edge, and shown at RCLK's."""

    def __init__(self, chips: int):
        self.stages = [0] * (8 * chips)
        self.shown = None
        self._pins = (0, 0, 0)

    def clock(self, data: int, clock: int, latch: int) -> bool:
        """Take the pins' levels; return whether the outputs are new."""
        before_data, before_clock, before_latch = self._pins
        rises = clock and not before_clock
        if rises:
            assert data == before_data, "set up before the edge"
            self.stages = [data, *self.stages[:-1]]
        assert not (rises and latch), "one edge at a time"
        if latch and not before_latch:
            self.shown = [self.stages[8 * chip :][:8] for chip in range(len(self.stages) // 8)]
        self._pins = data, clock, latch
        return bool(latch and not before_latch)


@pytest.mark.parametrize("meters", [2, 5, 8])
def test_the_chain_shows_every_meters_levels(meters, monkeypatch):
    """Events come at any clock; two passes later the chain shows what they said, and nothing else in between."""
    monkeypatch.setattr("blondel.hdl.link.shift.Memory", PoisonedMemory)
    random = rng(f"shift {meters}")
    dut = ShiftRegister(MeterConfig.for_model("MSNCT-1SC", meters=(1,) * meters))
    chain, levels = Chain(meters), [0] * meters
    history, passes, clocks = [set() for _ in range(meters)], [], [0]

    async def events(ctx):
        for meter in range(meters):
            history[meter].add(0)
        for _ in range(40):
            await ctx.tick().repeat(random.choice([1, 2, 3, 50, dut.pass_clocks]))
            meter = random.randrange(meters)
            levels[meter] = random.getrandbits(len(LEVELS))
            history[meter].add(levels[meter])
            ctx.set(dut.event.meter, meter)
            ctx.set(dut.event.levels, levels[meter])
            ctx.set(dut.event.valid, 1)
            await ctx.tick()
            ctx.set(dut.event.valid, 0)
        await ctx.tick().repeat(3 * dut.pass_clocks)

    async def watch(ctx):
        async for _, _, data, clock, latch in ctx.tick().sample(dut.data, dut.clock, dut.latch):
            clocks[0] += 1
            if chain.clock(data, clock, latch):
                passes.append(clocks[0])
                for chip, seen in zip(chain.shown, history, strict=True):
                    for bit, level in enumerate(chip[: len(LEVELS)]):
                        assert level in {each >> bit & 1 for each in seen}
                    assert chip[len(LEVELS) :] == [0] * (8 - len(LEVELS))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(events)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert [sum(level << bit for bit, level in enumerate(chip)) for chip in chain.shown] == levels
    assert passes[-1] - passes[-2] == dut.pass_clocks
