"""Seconds that come again: the same codes and energy as the service's own samples, whatever came before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import SEED, rng

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.source.household import household
from blondel.sim.source.loads import Cycle, Kettle, Photovoltaic, Sine, Switched, Times, fridge
from blondel.sim.source.mains import Mains
from blondel.sim.source.seconds import Seconds
from blondel.sim.source.service import Service

CONFIG = MeterConfig.for_model("MDNCT-2SC")
SINGLE = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=2000)


def compare(config, service, seconds):
    """Hold some seconds to the service's samples; the order shows whether the store changes anything."""
    source, adc = Seconds(service, config, seed=SEED), IdealAdc(config, seed=SEED)
    rate = int(config.sample_rate_hz)
    for second in seconds:
        volts, amps = service.samples(second * rate, rate)
        codes, energy_wh = source.codes(second, 1)
        # The phase's last place can move a code by one, and the sign of a zero, which a dimmer looks at: the sine has
        # one on every 40th of a second.
        different = np.flatnonzero((np.abs(codes - adc.codes(0, volts, amps)) > 1).any(axis=1))
        assert not (different % (rate // 40)).any(), second
        np.testing.assert_allclose(energy_wh[0], (volts * amps).sum(axis=0) / rate / 3600, rtol=1e-6, atol=1e-9)
    return source


def test_a_household():
    random = rng("seconds")
    # The opening, all its loads; then the days after, at random.
    seconds = [*range(122), *random.sample(range(400 * 86_400), 40)]
    compare(CONFIG, household(repeating=True), [*seconds, *seconds[::-1]])


@pytest.mark.parametrize(
    "load",
    [
        Sine(3.0, "0.5lag", dc_amps=0.1),
        Switched(Kettle(900, 120), Times([(0.25, 0.75), (1.5, 3.0), (3.0, 4.125), (4.5, 4.75), (4.8, 6.2)])),
        Switched(Sine(1.0), Cycle(0.5, 0.9)),
        fridge(on_s=7.3, period_s=9.1, first_s=0.4),
        Photovoltaic(3000, start_hour=11.0, compression=40, steps=10),
    ],
    ids=["sine", "times", "cycle", "fridge", "sun"],
)
def test_a_load(load):
    service = Service(Mains(volts=120, hertz=60), [[load]], sample_rate_hz=SINGLE.sample_rate_hz)
    compare(SINGLE, service, [*range(40), *range(40)])


def test_a_second_that_comes_again_is_not_made_again():
    service = Service(Mains(volts=120, hertz=60), [[Sine(3.0)], []])
    source = Seconds(service, CONFIG)
    codes, energy_wh = source.codes(5, 60)
    assert source.made == 2
    assert (codes.reshape(60, -1) == codes[:8000].reshape(1, -1)).all()
    np.testing.assert_allclose(energy_wh.sum(axis=0), [120 * 3 / 60, 0], rtol=1e-9)


def test_most_of_a_day_comes_again():
    source = Seconds(household(repeating=True), CONFIG)
    source.codes(86_400, 7200)
    assert source.made < 0.1 * 2 * 7200


def test_any_part_at_once_in_an_array_that_is_there():
    service = household(repeating=True)
    whole, energy_wh = Seconds(service, CONFIG).codes(57, 8)
    source, out = Seconds(service, CONFIG), np.empty((4 * 8000, 4), dtype=np.int32)
    for first in (4, 0):
        part, part_wh = source.codes(57 + first, 4, out)
        assert part is out
        np.testing.assert_array_equal(part, whole[8000 * first : 8000 * (first + 4)])
        np.testing.assert_array_equal(part_wh, energy_wh[first : first + 4])


@pytest.mark.parametrize(
    ("mains", "changes", "message"),
    [
        ({"hertz": 59.9}, {}, "hertz is 59.9; allowed where seconds repeat: a whole number"),
        ({"drift_hz": 0.02}, {}, "drift_hz is 0.02; allowed where seconds repeat: 0"),
        ({"noise_volts": 1.0}, {}, "noise_volts is 1; allowed where seconds repeat: 0"),
        ({}, {"sample_rate_hz": 8000.5}, "sample_rate_hz is 8000.5; allowed where seconds repeat: a whole number"),
        ({}, {"sample_rate_hz": 4000}, "the service has 1 elements at 4000 Hz; allowed: the meter's 1 at 2000 Hz"),
    ],
)
def test_what_does_not_repeat_is_refused(mains, changes, message):
    settings = {"volts": 120, "hertz": 60} | mains
    service = Service(Mains(**settings), [[Sine(1.0)]], **({"sample_rate_hz": 2000} | changes))
    with pytest.raises(ValueError, match=f"^{message}$"):
        Seconds(service, SINGLE)


def test_levels_of_the_sun_have_steps():
    levels = {Photovoltaic(1.0, start_hour=6.0, steps=50).level(60.0 * n) for n in range(720)}
    assert all(math.isclose(50 * level, round(50 * level)) for level in levels)
    assert 20 < len(levels) <= 51
