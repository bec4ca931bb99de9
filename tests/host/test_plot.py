"""Pictures: what is measured is what is drawn, and a file is whole or not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from blondel.hdl.config import LINES, MeterConfig
from blondel.host.files import OutputError
from blondel.host.plot import draw, plot
from blondel.sim.measure import make_engines, measure
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

DUAL = MeterConfig.for_model("MDNCT-1SC", sample_rate_hz=2000.0)


def measured(config=DUAL, amps=(80, -20), seconds=20.0, settle_s=1.0):
    source = Service(
        Mains(volts=120, hertz=60), [[Sine(each)] for each in amps], sample_rate_hz=config.sample_rate_hz
    )
    return measure(
        config, source, make_engines(config, "golden"), settle_frames=config.frames_in(settle_s),
        frames=config.frames_in(seconds), trace=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dual():
    return measured()


def labelled(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def test_what_is_drawn_is_what_was_measured(dual):
    axes = draw(dual).axes
    first, second, power, energy, pulses = axes[:5]
    trace, figures = dual.trace, dual.figures
    for element, each in enumerate((first, second)):
        assert np.array_equal(each.get_lines()[0].get_ydata(), trace.volts[:, element])
    right = [each.get_lines()[0].get_ydata() for each in axes[5:]]
    assert np.array_equal(np.array(right), trace.amps.T)
    steps = {patch.get_label(): patch.get_data().values for patch in power.patches}
    assert steps["total"].mean() == pytest.approx(60 * 120, rel=0.01)
    assert steps["element 2"].mean() == pytest.approx(-20 * 120, rel=0.01)
    assert labelled(energy, "delivered").get_ydata()[-1] == pytest.approx(figures.total.delivered_wh)
    assert labelled(energy, "received").get_ydata()[-1] == pytest.approx(figures.total.received_wh)
    assert labelled(energy, "true net").get_ydata()[0] == pytest.approx(figures.total.true_wh)
    assert energy.get_ylabel() == "energy, Wh"
    texts = [text.get_text() for text in pulses.texts]
    assert texts[:2] == [f"{figures.pulses[10]} pulses", "0 pulses"]
    assert figures.pulses[10] >= 4
    # A step line of Output 10 has an edge for every edge.
    heights = pulses.get_lines()[0].get_ydata()
    assert np.count_nonzero(np.diff(heights)) == len(trace.edges["output_10"][0])
    assert pulses.get_xlabel() == "time, s"
    assert pulses.get_xlim() == (0, 20)


def test_a_current_in_phase_does_not_hide_its_voltage():
    figure = draw(measured(amps=(80, 20), seconds=2.0))
    figure.draw_without_rendering()
    waves = [figure.axes[n] for n in (0, 1, 5, 6)]
    volts, amps = ([np.abs(each.get_lines()[0].get_ydata()).max() / each.get_ylim()[1] for each in pair]
                   for pair in (waves[:2], waves[2:]))  # fmt: skip
    assert max(amps) / max(volts) == pytest.approx(0.75, abs=0.02)
    assert max(volts) <= 0.95
    # Each panel has the ticks' labels of its volts and of its amps.
    for each, unit in zip(waves, "VVAA", strict=True):
        labels = [label.get_text() for label in each.get_yticklabels() if label.get_visible()]
        assert len([label for label in labels if label.endswith(unit)]) >= 3


@pytest.mark.parametrize(("suffix", "signature"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_kinds_of_files(dual, tmp_path, suffix, signature):
    path = tmp_path / f"run{suffix}"
    plot(dual, path)
    assert path.read_bytes().startswith(signature)
    assert os.listdir(tmp_path) == [path.name]


def test_other_kinds_are_refused(dual, tmp_path):
    for name in ("run.jpg", "run"):
        with pytest.raises(OutputError, match=r"its name must end with \.png, \.svg, \.pdf"):
            plot(dual, tmp_path / name)
    with pytest.raises(OutputError, match="is not a directory"):
        plot(dual, tmp_path / "none" / "run.png")
    assert not os.listdir(tmp_path)


def test_a_picture_that_fails_leaves_nothing(dual, tmp_path, monkeypatch):
    def half(self, file, **settings):
        file.write(b"\x89PNG")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OutputError, match="No space left on device"):
        plot(dual, tmp_path / "run.png")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("elements", "seconds"), [(1, 0.01), (12, 2.0)])
def test_few_frames_and_many_elements(tmp_path, elements, seconds):
    config = MeterConfig(line=LINES[60], class_amps=100, elements=elements, sample_rate_hz=2000.0)
    plot(measured(config, (10,) * elements, seconds), Path(tmp_path) / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


@pytest.mark.parametrize(("seconds", "unit"), [(100.0, "s"), (200.0, "min"), (4 * 3600.0, "h"), (5 * 86400.0, "days")])
def test_long_runs_have_long_units(dual, seconds, unit):
    factor = seconds / 20
    trace = replace(
        dual.trace, time_s=dual.trace.time_s * factor,
        edges={name: (times * factor, before) for name, (times, before) in dual.trace.edges.items()},
    )  # fmt: skip
    figures = replace(dual.figures, frames=round(seconds * 2000))
    pulses = draw(replace(dual, trace=trace, figures=figures)).axes[4]
    assert pulses.get_xlabel() == f"time, {unit}"
    assert 3 <= len(pulses.get_xticks()) <= 15
