"""The whole device at its modulators' pins, as generated Verilog, under cocotb."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import SEED
from simulation import AtPins, Simulation, write_verilog
from vectors import BUSY, answer

from blondel.boards.board import ConverterSignal
from blondel.hdl.frontend.sigma_delta import AD7403, AMC1306X25, SigmaDelta, Sinc3
from blondel.sim.afe.modulator import Fault, Modulator
from blondel.sim.engine import output_names
from blondel.sim.golden.sigma_delta import SigmaDelta as GoldenSigmaDelta

#: First and last frame, channel, and what happens: no supply, as a line stuck low; common mode out of range, as one
#: stuck high; or an overload.
FAULTS = (
    (120, 123, 1, Fault.NO_SUPPLY),
    (200, 203, 2, Fault.COMMON_MODE),
    (300, 308, 3, None),
)


def modulated(filter_, frames):
    """Return the bits of two elements: one is loaded, the other feeds back; faults and an overload on top."""
    clocks = (frames + 2) * filter_.decimation
    angle = 2 * np.pi * 60 / filter_.modulator_hz * np.arange(clocks)
    volts = 0.25 * np.sin(angle)[:, None] * [1.0, 1.0, 1.0, -0.6]
    fault = np.zeros(volts.shape, dtype=np.uint8)
    for first, last, channel, kind in FAULTS:
        place = slice(first * filter_.decimation + 77, last * filter_.decimation)
        if kind is None:
            volts[place, channel] *= 20
        else:
            fault[place, channel] = kind
    return Modulator(filter_.part, 4, clock_hz=filter_.modulator_hz, seed=SEED).next(volts, fault)


@pytest.mark.parametrize("part", [AMC1306X25, AD7403], ids=lambda part: part.name)
def test_meter_with_modulators_equals_the_model(part, tmp_path):
    """Registers and outputs are those of the golden meter, fed with the golden filter's samples."""
    frames = 620
    # The parts are slowed down, as BUSY is.
    filter_ = Sinc3(BUSY, decimation=600, part=replace(part, clock_hz=(2e5, 3e5)))
    bits = modulated(filter_, frames)
    # After a reset, while the clock is already high, the first bit is taken twice.
    samples, ok = GoldenSigmaDelta(filter_).process(np.concatenate([bits[:1], bits]))
    samples, ok = samples[:frames], ok[:frames]
    expected = answer(BUSY, samples, ok)
    names = output_names(BUSY)
    rises = {names[output]: frame for frame, output, level in expected["edges"].tolist()[::-1] if level}
    assert {"output_10", "reversed[1]"} <= set(rises)
    if part.marks_full_scale:
        # Whatever the dead channel has touched is not metered; the overload is, and is flagged.
        assert not ok[120:126].any()
        assert not ok[200:206].any()
        assert ok[290:].all()
        assert rises["overrange[1]"] in range(300, 309)
        assert "overrange[0]" not in rises
    else:
        # Clipped and dead look alike: both are clipped samples.
        assert ok[filter_.settle_frames :].all()
        assert rises["overrange[0]"] in range(120, 124)
        assert rises["overrange[1]"] in range(200, 205)
    np.savez(tmp_path / "vectors.npz", bits=bits @ (1 << np.arange(4)), frames=frames, **expected)
    signals = {"modulator_clk": ConverterSignal("o"), "modulator_data": ConverterSignal("i", 4)}
    design = AtPins(
        BUSY, signals, lambda ports: SigmaDelta(filter_, ports["modulator_clk"], ports["modulator_data"])
    )
    source = write_verilog(tmp_path / "device.v", design)
    simulation = Simulation("verilator", [source], "device", tmp_path / "build")
    simulation.run("modulators_bench", tmp_path, BLONDEL_VECTORS=str(tmp_path / "vectors.npz"))
