"""The same vectors for every engine: a short run in which everything happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from harness import SEED

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.hdl.link.registers import Block, register_address
from blondel.sim.engine import Record
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import output_records

#: Few frames a second, so that each carries much energy: a few thousand show every output at work.
BUSY = MeterConfig.for_model(
    "MDNCT-1SC",
    sample_rate_hz=400.0,
    test_kh_wh=2.0,
    pulse_min_s=0.05,
    counter_on_s=0.02,
    counter_gap_s=0.03,
    calibration=(
        ChannelCalibration(offset=1234.5, delay_s=100e-6, gain=1.1),
        ChannelCalibration(offset=-999.0, delay_s=-150e-6, gain=0.9),
        ChannelCalibration(),
        ChannelCalibration(gain=1.2499),
    ),
)


#: Meters of one, two and one elements in a core, the second calibrated.
MIXED = BUSY.with_changes(
    elements=4,
    meters=(1, 2, 1),
    calibration=(*[ChannelCalibration()] * 2, *BUSY.calibration, *[ChannelCalibration()] * 2),
)


def busy_frames(config: MeterConfig, frames: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Make frames in which each element is loaded, unloaded, reversed, overdriven, and some are invalid.

    Returns
    -------
    tuple of ndarray
        Samples, int32, (frames, channels); validity, bool, (frames,).
    """
    random = np.random.default_rng(SEED)
    limit = 1 << (config.sample_bits - 1)
    n = np.arange(frames)
    angle = 2 * np.pi * config.line.hertz * n / config.sample_rate_hz
    samples = np.empty((frames, config.channels))
    for element in range(config.elements):
        # Each part of the run has another current: full, reversed, none, lagging, above full scale.
        parts = np.array([0.9, -0.9, 0.0, 0.5, 1.3])[(5 * n // frames + element) % 5]
        lag = np.where(np.abs(parts) == 0.5, np.pi / 3, 0.0)
        samples[:, 2 * element] = 0.9 * np.sin(angle) + 0.001
        samples[:, 2 * element + 1] = parts * np.sin(angle - lag) - 0.002
    samples = np.rint(samples * limit + random.normal(0, 20, samples.shape))
    ok = random.random(frames) > 0.02
    return np.clip(samples, -limit, limit - 1).astype(np.int32), ok


def expected_records(golden: GoldenMeter) -> list[tuple[int, int, int]]:
    """Return what the register port has to show: address, accumulator and count of each of the model's records."""
    config, state = golden.config, golden.state()
    energy = state.energy.copy()
    # Above the gate's three bits there are the element's voltage and overrange.
    energy[: config.elements, Record.GATE, 1] |= golden.blocks["indicators"].state.status << 3
    records = [
        (register_address(config, Block.ENERGY, index), *map(int, record))
        for index, record in enumerate(energy.reshape(-1, 2))
        # Totals have no gate and nothing pending.
        if index // Record.COUNT < config.elements or index % Record.COUNT >= Record.DELIVERED
    ]
    for (block, index), record in zip(output_records(config), state.outputs, strict=True):
        records.append((register_address(config, block, index), *map(int, record)))
    return [*records, (register_address(config, Block.FRAMES, 0), state.frames, state.lost)]


def answer(config: MeterConfig, samples: np.ndarray, ok: np.ndarray) -> dict[str, np.ndarray]:
    """Return the model's answer to frames: edges (frame, output, level), and records as :func:`expected_records`."""
    golden = GoldenMeter(config)
    events = golden.next(samples, ok)
    return {
        "edges": np.stack([events.frame, events.output, events.level], axis=1).astype(np.int64),
        "records": np.array(expected_records(golden), dtype=np.int64),
    }


def write_vectors(path: Path, config: MeterConfig, frames: int) -> None:
    """Write busy frames to feed, and the model's answer, for a bench to read."""
    samples, ok = busy_frames(config, frames)
    np.savez(path, samples=samples, ok=ok, seed=SEED, **answer(config, samples, ok))
