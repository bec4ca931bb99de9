"""The whole device at the converter's pins, as generated Verilog, under cocotb."""

from __future__ import annotations

import pytest
from simulation import AtPins, Simulation, write_verilog
from vectors import BUSY

from blondel.boards.top import FRONT_ENDS
from blondel.hdl.frontend.playback import PlaybackLoad


@pytest.fixture(scope="module")
def with_ads131m(tmp_path_factory):
    """Samples are few, and clocks as few: 1,500 a sample, as 12 MHz at 8 kHz, and CLKIN as many."""
    folder = tmp_path_factory.mktemp("ads131m")
    front_end = FRONT_ENDS["ads131m"]
    clock_hz = 1500 * BUSY.sample_rate_hz
    design = AtPins(BUSY, front_end.signals(BUSY), lambda ports: front_end.make(BUSY, clock_hz, ports, PlaybackLoad()))
    return Simulation("verilator", [write_verilog(folder / "device.v", design)], "device", folder / "build")


@pytest.mark.parametrize(
    "faults",
    [
        "every_bit_of_dout", "every_bit_of_din", "data_ready", "data_ready_in_doubt", "configuration",
        "damaged_initialization", "trouble_that_stays", "anything_at_any_time",
        "configuration_while_settling",
    ],
)  # fmt: skip
def test_no_fault_of_the_converter_is_metered(with_ads131m, faults, tmp_path):
    with_ads131m.run("ads131m_bench", tmp_path, faults)
