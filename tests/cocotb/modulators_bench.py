"""cocotb bench: the meter with its modulators, whose bits come as their clock asks for them."""

from __future__ import annotations

import os

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from meter_bench import Bench


@cocotb.test()
async def registers_and_outputs_equal_the_model(dut):
    vectors = np.load(os.environ["BLONDEL_VECTORS"])
    bench = Bench(dut)

    async def modulators():
        """Change the bits after each rising edge of the modulators' clock."""
        rise, data = RisingEdge(dut.modulator_clk), dut.modulator_data
        for word in vectors["bits"][1:].tolist():
            await rise
            data.value = word

    dut.modulator_data.value = int(vectors["bits"][0])
    await bench.start()
    cocotb.start_soon(modulators())
    await bench.watch(int(vectors["frames"]))
    bench.check_edges(list(map(tuple, vectors["edges"].tolist())))
    await bench.check_records(vectors["records"].tolist())
