"""Power: hardware against golden twin; nothing is rounded."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from harness import WithMultiplier, channel_items, rng, run_stage, valid_never_waits_for_ready
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.metrology.multiplier import Multiplier, SerialMultiplier
from blondel.hdl.metrology.power import Power
from blondel.sim.golden.power import Power as GoldenPower

DUAL = MeterConfig.for_model("MDNCT-1SC")
TRIPLE = MeterConfig(
    line=LINES[50], class_amps=5.0, elements=3, sample_bits=16, sample_rate_hz=500.0, test_kh_wh=1
)  # fmt: skip
CONFIGS = pytest.mark.parametrize("config", [DUAL, TRIPLE], ids=["24 bit", "16 bit"])


def stimulus(config, frames, name):
    """Random frames, all pairs of extremes among them, some invalid."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    limit = 1 << (config.path_bits - 1)
    samples = generator.integers(-limit, limit, (frames, config.channels))
    ends = np.array(list(itertools.product((-limit, limit - 1, 0, -1, 1), repeat=2)))
    rows = np.resize(ends, (len(ends) // config.elements + 1, config.channels))
    samples[: len(rows)] = rows
    ok = generator.random(frames) < 0.8
    ok[: len(rows)] = True
    return samples, ok, generator.integers(0, 4, samples.shape)


def watched_items(config, samples, ok, window, flags):
    """Turn rows of frames into items; ``flags`` has the voltage indicator in bit 0 and overrange in bit 1."""
    items = channel_items(samples, ok=ok, window=window)
    for item, bits in zip(items, flags.ravel().tolist(), strict=True):
        del item["clip"], item["late"]
        item |= {"voltage": bits & 1, "overrange": bits >> 1}
    return items


def element_rows(items, config, name):
    """Turn element items into rows, of valid frames only; check their order."""
    assert [item["element"] for item in items] == [n % config.elements for n in range(len(items))]
    values = [item[name] for item in items if item["ok"]]
    return np.array(values, dtype=np.int64).reshape(-1, config.elements)


@CONFIGS
@pytest.mark.parametrize("multiplier", [Multiplier, SerialMultiplier])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(config, multiplier, throttled):
    samples, ok, flags = stimulus(config, 60, f"power {config.sample_bits} {throttled}")
    window = (np.arange(60) % 7 == 0) & ok
    items = watched_items(config, samples, ok, window, flags)
    throttle = rng("throttle") if throttled else None
    run = run_stage(config, Power(config), items, outputs=len(items) // 2, throttle=throttle, multiplier=multiplier)
    assert [item["ok"] for item in run.items] == list(np.repeat(ok, config.elements))
    assert [item["window"] for item in run.items] == list(np.repeat(window, config.elements))
    expected = GoldenPower(config).process(samples[ok])
    np.testing.assert_array_equal(element_rows(run.items, config, "product"), expected)
    for bit, name in enumerate(("voltage", "overrange")):
        np.testing.assert_array_equal(element_rows(run.items, config, name), flags[ok][:, 1::2] >> bit & 1)
    assert expected.max() == config.product_max
    if not throttled and multiplier is Multiplier:
        # A current is taken together with its product, the voltage in the clock after.
        assert set(np.diff(run.accepted)[0::2]) == {Power.latency + 1}
        assert set(np.diff(run.accepted)[1::2]) == {1}


def test_output_is_valid_before_it_is_ready():
    zeros = np.zeros((1, DUAL.channels), dtype=int)
    items = watched_items(DUAL, zeros, np.ones(1), np.zeros(1), zeros)
    assert valid_never_waits_for_ready(DUAL, Power(DUAL), items)


@CONFIGS
def test_products_are_exact(config):
    """In integers without a limit; the worst case fits product_bits and int64."""
    samples, _, _ = stimulus(config, 200, "exact")
    products = GoldenPower(config).process(samples)
    for row, product in zip(samples.tolist(), products.tolist(), strict=True):
        assert product == [v * i for v, i in zip(row[0::2], row[1::2], strict=True)]
    assert products.max() == config.product_max == 1 << (config.product_bits - 2)
    assert config.product_bits <= 63


def test_chunks_join_to_the_whole():
    samples, _, _ = stimulus(TRIPLE, 100, "chunks")
    twin = GoldenPower(TRIPLE)
    cuts = [0, 0, 1, 50, 100]
    parts = [twin.next(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), GoldenPower(TRIPLE).process(samples))


VALUE = st.integers(-(1 << (DUAL.path_bits - 1)), (1 << (DUAL.path_bits - 1)) - 1)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    frames=st.lists(st.tuples(VALUE, VALUE, VALUE, VALUE), min_size=1, max_size=6),
    throttle=st.integers(0, 1 << 32).map(random.Random),
)
def test_every_product_is_its_own_element_s(frames, throttle):
    samples = np.array(frames, dtype=np.int64)
    ok = np.ones(len(frames))
    items = watched_items(DUAL, samples, ok, ok, np.zeros_like(samples))
    run = run_stage(DUAL, Power(DUAL), items, outputs=2 * len(frames), throttle=throttle)
    np.testing.assert_array_equal(element_rows(run.items, DUAL, "product"), GoldenPower(DUAL).process(samples))


@pytest.mark.parametrize("multiplier", [Multiplier, SerialMultiplier])
def test_a_product_stays_until_it_is_taken(multiplier):
    """However long that takes, and though another stage asks the multiplier as soon as the product is there."""
    dut = WithMultiplier(DUAL, Power(DUAL), multiplier)
    products = []

    async def bench(ctx):
        for channel, value in enumerate((-1234567, 7654321)):
            ctx.set(dut.i.payload, {"channel": channel, "ok": 1, "data": value})
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        for _ in range(200):
            if ctx.get(dut.o.valid):
                ctx.set(dut.busy, 1)
                products.append(ctx.get(dut.o.payload.product))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert len(products) > 100
    assert set(products) == {-1234567 * 7654321}
