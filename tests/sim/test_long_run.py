"""Runs of days: figures equal those of a run in one piece, however often it was saved, and the RTL is compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import SEED

import blondel.sim
from blondel.hdl.config import MeterConfig
from blondel.sim import long_run as module
from blondel.sim.engine import Record
from blondel.sim.long_run import ForeignRun, LongRun
from blondel.sim.measure import EnginesDiffer, energy_wh, make_engines
from blondel.sim.source.household import household
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.seconds import Seconds
from blondel.sim.source.service import Service

CONFIG = MeterConfig.for_model("MDNCT-2SC", sample_rate_hz=2000)


def home(config=CONFIG):
    return Seconds(household(sample_rate_hz=config.sample_rate_hz, repeating=True), config, seed=SEED)


def bench(*amps, config=CONFIG):
    service = Service(Mains(volts=120, hertz=60), [[Sine(each)] for each in amps], sample_rate_hz=config.sample_rate_hz)
    return Seconds(service, config)


def finished(run, **how):
    assert run.run(**how)
    return run.figures().to_json() | {"real_time_factor": None}


@pytest.fixture
def short_day(monkeypatch):
    """Days of a minute, metered in pieces."""
    monkeypatch.setattr(module, "DAY_S", 60)
    monkeypatch.setattr(module, "BATCH_S", 16)


def test_energies_pulses_and_days_of_a_known_load(short_day):
    run = LongRun(CONFIG, bench(100, -50), settle_s=10, seconds=150)
    steps = []
    figures = finished(run, progress=steps.append)
    assert sum(steps) == 160
    first, second = figures["elements"]
    assert (first["delivered_wh"], second["received_wh"]) == pytest.approx((500, 250), rel=2e-5)
    assert first["received_wh"] == second["delivered_wh"] == 0
    assert abs(figures["error_ppm"]) < 20
    assert figures["pulses"] == {"10": 50, "100": 5, "1000": 0}
    assert (figures["frames"], figures["counts"]) == (300_000, 5)
    assert figures["flags"]["reversed"] == [False, True]
    assert run.daily_wh[:, 0, 0] == pytest.approx([200, 200, 100], rel=2e-5)
    assert run.daily_wh[:, 1, 1] == pytest.approx([100, 100, 50], rel=2e-5)
    assert "checked_frames" not in figures
    json.dumps(figures, allow_nan=False)


def test_a_run_that_is_interrupted_again_and_again_is_the_whole_run(short_day):
    settings = {"settle_s": 9, "seconds": 200, "checks": 2, "seed": SEED}
    whole = LongRun(CONFIG, home(), **settings)
    expected = finished(whole)
    saved, pieces, complete = None, 0, False
    while not complete:
        run = LongRun(CONFIG, home(), **settings)
        if saved is not None:
            run.restore(saved)
        pauses = iter([False, False, True])
        complete = run.run(pause=lambda pauses=pauses: next(pauses))
        saved, pieces = run.save(), pieces + 1
    assert pieces > 5
    assert run.figures().to_json() | {"real_time_factor": None} == expected
    assert run.checked == whole.checked
    np.testing.assert_array_equal(run.daily_wh, whole.daily_wh)
    assert expected["checked_frames"] == 2 * module.CHECK_S * 2000
    # What is finished stays finished.
    again = LongRun(CONFIG, home(), **settings)
    again.restore(saved)
    assert again.run()
    assert again.figures().to_json() | {"real_time_factor": None} == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"seconds": 201},
        {"settle_s": 8},
        {"seed": SEED + 1, "checks": 1},
        {"config": CONFIG.with_changes(clock_error_ppm=1.0)},
        {"source": bench(10, 20)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_run_is_refused(changed):
    settings = {"config": CONFIG, "source": bench(10, 10), "settle_s": 9, "seconds": 200}
    saved = LongRun(**settings).save()
    with pytest.raises(ForeignRun, match="other options, or of another version"):
        LongRun(**(settings | changed)).restore(saved)


def test_what_other_code_saved_is_refused(tmp_path, monkeypatch):
    settings = {"config": CONFIG, "source": bench(10, 10), "settle_s": 9, "seconds": 200}
    saved = LongRun(**settings).save()
    (tmp_path / "more.py").write_text("")
    monkeypatch.setattr(blondel.sim, "__path__", [*blondel.sim.__path__, str(tmp_path)])
    monkeypatch.setattr(module, "version", module.version.__wrapped__)
    with pytest.raises(ForeignRun, match="another version of Blondel"):
        LongRun(**settings).restore(saved)


@pytest.mark.parametrize("damage", [lambda saved: b"", lambda saved: saved[:-40], lambda saved: b"x" * 900])
def test_a_damaged_state_is_refused(damage):
    run = LongRun(CONFIG, bench(10, 10), settle_s=9, seconds=200)
    with pytest.raises(ForeignRun, match="not the state of a run, or damaged"):
        run.restore(damage(run.save()))


def test_engines_that_differ_in_a_window_are_found():
    run = LongRun(CONFIG, bench(100, 100), settle_s=0, seconds=60, checks=1, seed=SEED)
    rtl = run._engines["rtl"]
    correct = rtl.preset

    def broken(state):
        state.energy[0, Record.DELIVERED, 0] += 1
        correct(state)

    rtl.preset = broken
    with pytest.raises(EnginesDiffer, match=r"from second \d+ on, the engines differ after .* element 1, delivered"):
        run.run()


def test_a_state_that_differs_after_a_window_is_found():
    run = LongRun(CONFIG, bench(100, 100), settle_s=0, seconds=60, checks=1, seed=SEED)
    rtl = run._engines["rtl"]
    correct = rtl.next

    def broken(frames):
        events = correct(frames)
        words, _ = rtl.words("meter gain memory")
        words[1] ^= np.uint64(1)
        rtl.put_words("meter gain memory", words)
        return events

    rtl.next = broken
    with pytest.raises(EnginesDiffer, match=r"after the 10 s from second \d+ on, the RTL has gain memory\[1\]: \d+"):
        run.run()


def test_a_window_goes_on_from_the_whole_state_of_the_run():
    run = LongRun(CONFIG, home(), settle_s=9, seconds=300, checks=1, seed=SEED)
    golden, started = run._engines["golden"], []
    correct = golden.next

    def watched(frames):
        started.append((run.done_s, golden.save(), run._golden.save()))
        return correct(frames)

    golden.next = watched
    assert run.run()
    ((moment, of_the_window, of_the_run),) = started
    assert moment == run.checked[0] > 0
    assert of_the_window == of_the_run


@pytest.mark.parametrize(("seconds", "windows"), [(1, 1), (12, 2)])
def test_a_run_too_short_for_all_windows_has_fewer(seconds, windows):
    run = LongRun(CONFIG, bench(100, 100), settle_s=0, seconds=seconds, checks=5)
    assert run.run()
    assert len(set(run.checked)) == len(run.checked) == windows


def test_a_register_that_rolls_over_loses_nothing():
    config = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=2000)
    golden = make_engines(config, "golden")["golden"]
    before = golden.state()
    before.energy[:, Record.DELIVERED, 1] = (1 << config.register_bits) - 3
    golden.preset(before)
    golden.next(bench(100, config=config).codes(0, 20)[0])
    after = golden.state()
    assert after.energy[0, Record.DELIVERED, 1] < 1 << 20
    net, delivered, received = energy_wh(config, after, before)
    assert (net[0], delivered[0]) == pytest.approx((12_000 * 20 / 3600,) * 2, rel=1e-3)
    assert received[0] == 0


@pytest.mark.parametrize("sign", [1, -1], ids=["delivered", "received"])
def test_a_load_below_the_gate_leaves_nothing_in_hours_and_one_above_it_all(sign):
    gate = sign * CONFIG.no_load_watts / CONFIG.line.v_nominal
    run = LongRun(CONFIG, bench(0.9 * gate, 1.1 * gate), settle_s=10, seconds=2 * 3600)
    below, above = finished(run)["elements"]
    assert below["delivered_wh"] == below["received_wh"] == 0
    metered, other = ("delivered_wh", "received_wh") if sign > 0 else ("received_wh", "delivered_wh")
    assert above[metered] == pytest.approx(1.1 * 2 * CONFIG.no_load_watts, rel=2e-4)
    assert above[other] == 0


def test_more_than_the_class_amps_for_hours_loses_no_pulse():
    amps = 1.2 * CONFIG.class_amps
    run = LongRun(CONFIG, bench(amps, amps), settle_s=0, seconds=2 * 3600 + 1)
    figures = finished(run)
    assert figures["flags"]["overrange"] == [True, True]
    assert figures["delivered_wh"] == pytest.approx(2 * 120 * amps * (2 + 1 / 3600), rel=1e-6)
    tens = int(figures["delivered_wh"] / 10)
    assert figures["pulses"] == {"10": tens, "100": tens // 10, "1000": tens // 100}
    assert figures["counts"] == tens // 10
