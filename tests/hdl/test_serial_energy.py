"""What the energy stage with one memory has of its own; all else is in ``test_energy.py``, with the other one's."""

from __future__ import annotations

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from energy_scales import EnergyScales

from blondel.hdl.metrology.energy import RecordKind
from blondel.hdl.metrology.serial_energy import PROGRAM, SerialEnergy, assemble

SCALES = EnergyScales(
    elements=3, product_bits=8, register_bits=4, quantum=70, hysteresis=150, start_energy=120, tick=201
)


def test_after_a_reset_there_is_no_energy_left():
    """Nothing is known of the memory at first; after a reset in the middle of a turn it is full of energy."""
    stage = SerialEnergy(SCALES)
    reset = Signal()
    sums = []

    async def bench(ctx):
        def energy():
            places = [(e, half, k) for e in range(SCALES.elements + 1) for half in (0, 1) for k in RecordKind]
            return sum(abs(ctx.get(value)) for place in places for value in stage.internals.record(*place))

        ctx.set(stage.o.ready, 1)
        ctx.set(stage.i.valid, 1)
        ctx.set(stage.i.payload.ok, 1)
        ctx.set(stage.i.payload.product, SCALES.product_max)
        await ctx.tick().repeat(700)
        sums.append(energy())
        ctx.set(stage.i.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await ctx.tick().repeat(1 + 16 * (SCALES.elements + 1))
        sums.append(energy())

    sim = Simulator(ResetInserter(reset)(stage))
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    before, after = sums
    assert before > 0
    assert after == 0


def test_a_line_that_uses_what_was_not_read_is_refused():
    number = next(n for n, line in enumerate(PROGRAM) if line.get("events") == 1)
    broken = [{name: value for name, value in line.items() if name != "kind"} for line in PROGRAM[:number]]
    with pytest.raises(ValueError, match=f"line {number - 1} reads nothing, and line {number} uses it"):
        assemble([*broken, *PROGRAM[number:]])
