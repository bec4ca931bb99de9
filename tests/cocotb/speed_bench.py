"""cocotb bench: how many frames a second the generated Verilog takes, and that it shows what the model says."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cocotb
import numpy as np
from meter_bench import Bench


@cocotb.test()
async def frames_per_second(dut):
    vectors = np.load(os.environ["BLONDEL_VECTORS"])
    samples, parts = vectors["samples"], int(os.environ["BLONDEL_PARTS"])
    bench = Bench(dut)
    dut.sample_valid.value = 0
    await bench.start()
    cocotb.start_soon(bench.feed(samples, vectors["ok"]))
    times = [time.process_time()]
    for part in range(1, parts + 1):
        await bench.watch(part * len(samples) // parts)
        times.append(time.process_time())
    bench.check_edges(list(map(tuple, vectors["edges"].tolist())))
    await bench.check_records(vectors["records"].tolist())
    Path(os.environ["BLONDEL_RESULT"]).write_text(str(len(samples) / parts / min(np.diff(times))))
