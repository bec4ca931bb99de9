"""The analog front end as a whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from harness import rng

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.afe.front_end import FrontEnd
from blondel.sim.afe.parts import Parts


def waveforms(config: MeterConfig, frames: int, amps: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * 60 / config.sample_rate_hz * np.arange(frames)[:, np.newaxis]
    lag = np.arange(config.elements) * 0.7
    return 170 * np.sin(angle + 0 * lag), amps * np.sqrt(2) * np.sin(angle - lag)


@pytest.mark.parametrize("bits", [16, 24])
def test_ideal_parts_give_the_ideal_converters_codes(bits):
    config = MeterConfig.for_model("MDNCT-1SC", sample_bits=bits)
    random = np.random.default_rng(rng("ideal front end").getrandbits(64))
    volts, amps = random.uniform(-700, 700, (2000, 2)), random.uniform(-300, 300, (2000, 2))
    codes = FrontEnd(config, Parts.ideal(config), seed=7).codes(11, volts, amps)
    assert np.array_equal(codes, IdealAdc(config, seed=7).codes(11, volts, amps))


def test_chunks_joined_equal_the_whole():
    config = MeterConfig.for_model("MDNCT-2SP")
    parts = Parts.draw(config, 1, 2)
    volts, amps = waveforms(config, 20_000)
    whole = FrontEnd(config, parts, seed=3).codes(0, volts, amps)
    front_end = FrontEnd(config, parts, seed=3)
    cuts = [0, 1, 4, 5, 1000, 20_000]
    chunks = [front_end.codes(a, volts[a:b], amps[a:b]) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(chunks), whole)
