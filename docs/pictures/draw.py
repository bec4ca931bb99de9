"""Draws the pages' pictures: ``python docs/pictures/draw.py [FOLDER]``."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("svg")

import matplotlib.pyplot as plt

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.sigma_delta import Sinc3
from blondel.sim.afe.burden import BURDEN_OHM, Burden
from blondel.sim.afe.current_transformer import ct_errors, current_transformer
from blondel.sim.afe.lead import Lead
from blondel.sim.afe.modulator import Modulator
from blondel.sim.golden.sigma_delta import SigmaDelta

#: Colours that can be told apart by everybody, on white paper.
DELIVERED, RECEIVED, NET, GREY = "#0b6e99", "#c8501e", "#1f2933", "#8a94a0"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "blondel",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": NET,
    "xtick.color": NET,
    "ytick.color": NET,
}


def phase_error() -> plt.Figure:
    """Error of energy by phase error, at the data sheet's power factors."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    degrees = np.linspace(-0.2, 0.2, 81)
    for name, angle, color in (
        ("0.5 lagging", np.arccos(0.5), RECEIVED),
        ("1.0", 0.0, NET),
        ("0.866 leading", -np.arccos(0.866), DELIVERED),
    ):
        error = 100 * (np.cos(angle + np.radians(degrees)) / np.cos(angle) - 1)
        axes.plot(degrees, error, color=color, linewidth=2)
        axes.annotate(name, (0.2, error[-1]), (6, 0), textcoords="offset points", color=color, va="center")
    axes.axhspan(-0.5, 0.5, color=GREY, alpha=0.15, linewidth=0)
    axes.annotate("class 0.5", (-0.195, -0.46), color=GREY, va="bottom", ha="left")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="phase error, degrees", ylabel="error of energy, %", xlim=(-0.2, 0.2), ylim=(-0.7, 0.7))
    return figure


def direction() -> plt.Figure:
    """Net energy of a load that turns round, and how it is committed."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    t = np.linspace(0, 1, 2001)
    power = np.where(t < 0.45, 1.0, -1.0)
    swing = 0.035
    net = np.cumsum(power) * (t[1] - t[0]) + swing * np.sin(2 * np.pi * 24 * t)
    hysteresis = 0.1
    delivered, received, base, forward, decided = [], [], 0.0, True, None
    d = r = 0.0
    for n, value in enumerate(net):
        pending = value - base
        ahead = pending if forward else -pending
        if ahead > 0 or -ahead >= hysteresis:
            if ahead <= 0:
                forward, decided = not forward, n
            d, r, base = d + max(pending, 0), r + max(-pending, 0), value
        delivered.append(d)
        received.append(r)
    peak = int(np.argmax(net))
    axes.plot(t, net, color=NET, linewidth=1, label="net energy")
    axes.plot(t, delivered, color=DELIVERED, linewidth=2, label="delivered")
    axes.plot(t, received, color=RECEIVED, linewidth=2, label="received")
    axes.plot(t[peak], net[peak], "o", color=DELIVERED)
    axes.annotate(
        "turning point", (t[peak], net[peak]), (0, 10), textcoords="offset points", color=DELIVERED, ha="center"
    )
    axes.axhline(net[peak] - hysteresis, xmin=0.36, xmax=0.62, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate(
        "", (t[decided], net[peak] - hysteresis), (t[decided], net[peak]),
        arrowprops={"arrowstyle": "<->", "color": GREY, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    axes.annotate("hysteresis", (t[decided], net[peak] - hysteresis / 2), (6, 0), textcoords="offset points",
                  color=GREY, va="center")  # fmt: skip
    axes.plot(t[decided], received[decided], "o", color=RECEIVED)
    axes.annotate(
        "decided, committed whole", (t[decided], received[decided]), (10, -6), textcoords="offset points",
        color=RECEIVED, va="top",
    )  # fmt: skip
    axes.set(xlabel="time", ylabel="energy", xticks=[], yticks=[], xlim=(0, 1), ylim=(-0.12, 0.62))
    axes.legend(frameon=False, loc="upper left")
    return figure


def _measured_gain(filter_: Sinc3, hertz: float, frames: int = 64) -> float:
    """Amplitude of a sine at the filter's output, relative to its amplitude at the modulator's input."""
    n = np.arange(filter_.decimation * (filter_.settle_frames + frames + 1))
    omega = 2 * np.pi * hertz / filter_.modulator_hz
    amplitude = 0.7 * filter_.part.full_scale_v
    volts = np.repeat(amplitude * np.sin(omega * n)[:, np.newaxis], filter_.config.channels, axis=1)
    samples, ok = SigmaDelta(filter_).process(Modulator(filter_.part, filter_.config.channels).next(volts))
    instants = (np.flatnonzero(ok) + 1) * filter_.decimation
    design = np.stack([np.sin(omega * instants), np.cos(omega * instants), np.ones(len(instants))], axis=1)
    (sine, cosine, _), *_ = np.linalg.lstsq(design, samples[ok][:, 0].astype(float), rcond=None)
    return float(np.hypot(sine, cosine) / (0.7 * float(filter_.full_scale_code)))


def sigma_delta_response() -> plt.Figure:
    """Frequency response of the sigma-delta front end: measured on the golden model, and by formula."""
    filter_ = Sinc3(MeterConfig.for_model("MSNCT-1SC"), 1500)
    figure, (whole, part) = plt.subplots(1, 2, figsize=(6.4, 3.2), layout="constrained")
    for axes, top, dots in ((whole, 24.0, 59), (part, 2.0, 20)):
        line = np.linspace(0, top, 1201)[1:]
        measured = np.linspace(0, top, dots + 1)[1:] - top / 97
        axes.set(xlabel="frequency, kHz", xlim=(0, top))
        by_formula = np.array([filter_.magnitude(1e3 * f) for f in line])
        by_measurement = np.array([_measured_gain(filter_, 1e3 * f) for f in measured])
        if axes is whole:
            by_formula, by_measurement = (20 * np.log10(np.maximum(g, 1e-6)) for g in (by_formula, by_measurement))
            axes.set(ylabel="gain, dB", ylim=(-100, 5))
        else:
            by_formula, by_measurement = 100 * by_formula - 100, 100 * by_measurement - 100
            axes.set(ylabel="gain less one, %", ylim=(-30, 1))
        axes.plot(line, by_formula, color=GREY, linewidth=1.2, label="by formula")
        axes.plot(measured, by_measurement, ".", color=DELIVERED, markersize=5, label="measured")
    part.legend(frameon=False, loc="lower left")
    return figure


def ct_current() -> plt.Figure:
    """Errors of both CTs against the current, with leads and at temperatures."""
    figure, panels = plt.subplots(2, 2, figsize=(6.4, 4.6), sharex=True, layout="constrained")
    percent = np.geomspace(0.01, 120, 60)
    curves = (
        (0, 23, DELIVERED, "-"), (100, 23, NET, "-"), (500, 23, RECEIVED, "-"),
        (0, -20, GREY, ":"), (0, 50, GREY, "--"),
    )  # fmt: skip
    for (above, below), title, model in zip(panels.T, ("solid-core", "split-core"), ("1SC", "1SP"), strict=True):
        ct = current_transformer(MeterConfig.for_model(f"MSNCT-{model}"))
        for length, temperature, color, style in curves:
            errors = [ct_errors(ct, amps, lead=Lead(length), temperature_c=temperature) for amps in percent]
            label = f"{length} ft, {temperature} °C".replace("-", "−")
            for axes, column in zip((above, below), np.array(errors).T, strict=True):
                axes.semilogx(percent, column, color=color, linestyle=style, linewidth=1.5, label=label)
        above.set_title(f"{title}, 100 A", fontsize=10)
        below.set(xlabel="current, % of class amps", ylim=(0, None), xlim=(0.01, 120))
        below.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    panels[0, 0].set(ylabel="ratio error, %")
    panels[1, 0].set(ylabel="phase error, minutes")
    panels[0, 0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def ct_circuit() -> plt.Figure:
    """Errors of the solid-core CT against lead, burden and temperature."""
    figure, panels = plt.subplots(2, 3, figsize=(6.4, 4.0), sharex="col", sharey="row", layout="constrained")
    ct = current_transformer(MeterConfig.for_model("MSNCT-1SC"))
    sweeps = (
        ("lead, ft", np.linspace(0, 500, 11), lambda x: {"lead": Lead(x)}),
        ("burden, Ω", np.linspace(1, 12, 12), lambda x: {"burden": Burden(x / BURDEN_OHM - 1)}),
        ("temperature, °C", np.linspace(-30, 70, 11), lambda x: {"temperature_c": x}),
    )
    for (above, below), (label, values, changes) in zip(panels.T, sweeps, strict=True):
        for amps, color in ((0.1, DELIVERED), (10, NET), (100, RECEIVED)):
            errors = np.array([ct_errors(ct, amps, **changes(x)) for x in values])
            for axes, column in zip((above, below), errors.T, strict=True):
                axes.plot(values, column, color=color, linewidth=1.5, label=f"{amps:g} A")
        below.set(xlabel=label)
    panels[0, 0].set(ylabel="ratio error, %")
    panels[1, 0].set(ylabel="phase error, minutes", ylim=(0, None))
    panels[1, 1].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table that ``make scaling`` wrote."""
    with (Path(__file__).parents[2] / "boards" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def scaling() -> plt.Figure:
    """What cores take by elements, and how many elements a device's clocks are enough for."""
    figure, panels = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    (cells, memories), (clocks, reach) = panels
    reaches = {row["device"]: row for row in _rows("reach.csv")}
    for device, color in (("iCE40UP5K", DELIVERED), ("iCE40HX8K", RECEIVED)):
        # One core of so many elements.
        own = {int(row["elements"]): row for row in reversed(_rows("scaling.csv")) if row["device"] == device}
        for axes, key in ((cells, "lc"), (memories, "ram"), (clocks, "frame_clocks")):
            values = [int(row[key]) for row in own.values()]
            axes.plot([*own], values, color=color, linewidth=2, label=device)
            faces = [color if row["fits"] == "True" else "white" for row in own.values()]
            axes.scatter([*own], values, s=28, color=faces, edgecolor=color, zorder=3)
        by_rate = {name.removesuffix(" kHz"): int(value) for name, value in reaches[device].items() if "kHz" in name}
        reach.plot(list(by_rate), list(by_rate.values()), "o-", color=color, linewidth=2, markersize=5)
    for axes, label in ((cells, "logic cells"), (memories, "block RAMs"), (clocks, "clocks of a frame")):
        axes.set(xlabel="elements", ylabel=label, xticks=[1, 8, 16, 32, 64])
    for axes in (cells, memories):
        axes.set_ylim(0, None)
    clocks.set_yscale("log")
    reach.set(xlabel="sample rate, kS/s", ylabel="elements that the clocks do", ylim=(0, 68), yticks=[8, 16, 32, 64])
    cells.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _engines(axes: plt.Axes, run: dict) -> None:
    """Draw each engine's speed as a bar."""
    titles = {
        "golden": "golden model", "rtl": "RTL engine", "verilator": "cocotb +\nVerilator", "icarus": "cocotb +\nIcarus",
        "amaranth": "Amaranth's\nsimulator",
    }  # fmt: skip
    shown = [(title, run["engines"][name]) for name, title in titles.items() if run["engines"][name]]
    factors = [engine["frames_per_s"] / run["sample_rate_hz"] for _, engine in shown]
    colors = [DELIVERED, RECEIVED, *[GREY] * len(shown)][: len(shown)]
    bars = axes.barh([title for title, _ in shown], factors, color=colors, height=0.62)
    axes.axvline(1, color=NET, linewidth=0.8, linestyle="--", zorder=0)
    # On white: a label may stand where the line of real time is.
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    labels = [f"{factor:,.0f}" if factor >= 1000 else f"{factor:.2g}" for factor in factors]
    axes.bar_label(bars, labels, padding=5, bbox=plate)
    axes.set(xscale="log", xlim=(1e-3, 5e5), xlabel="× real time")
    axes.set_xticks([1e-2, 1, 1e2, 1e4], ["0.01", "1", "100", "10,000"])
    axes.minorticks_off()
    axes.invert_yaxis()


def speed() -> plt.Figure:
    """Speeds, and how they go with elements and length, of the result that ``make bench`` wrote."""
    figure, ((engines, by_elements), (by_length, memory)) = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    run = json.loads((Path(__file__).parents[2] / "bench" / "result.json").read_text(encoding="utf-8"))
    _engines(engines, run)
    elements = [each["elements"] for each in run["by_elements"]]
    for name, label, color in (("golden", "golden model", DELIVERED), ("rtl", "RTL engine", RECEIVED)):
        factors = [each[name]["frames_per_s"] / run["sample_rate_hz"] for each in run["by_elements"]]
        by_elements.plot(elements, factors, "o-", color=color, markersize=5, linewidth=2, label=label)
        by_elements.plot(elements, factors[0] / np.array(elements), color=GREY, linewidth=1, linestyle=":")
    by_elements.plot([], [], color=GREY, linewidth=1, linestyle=":", label="as many times slower")
    by_elements.axhline(1, color=NET, linewidth=0.8, linestyle="--")
    by_elements.set(xscale="log", yscale="log", xlabel="elements", ylabel="× real time", ylim=(0.1, 1e5))
    by_elements.set_yticks([1, 1e2, 1e4], ["1", "100", "10,000"])
    by_elements.set_xticks(elements, [str(each) for each in elements])
    by_elements.minorticks_off()
    by_elements.legend(frameon=False, fontsize=8)
    for name, label, color, style in (
        ("golden", "golden model", DELIVERED, "o-"), ("days", "golden model, --days", NET, "s-"),
        ("rtl", "RTL engine", RECEIVED, "o-"),
    ):  # fmt: skip
        runs = run["by_length"][name]
        seconds = [each["seconds"] for each in runs]
        by_length.plot(seconds, [each["processor_s"] for each in runs], style, color=color, linewidth=2, markersize=5)
        memory.plot(
            seconds, [each["peak_bytes"] / 1e6 for each in runs], style, color=color, linewidth=2, markersize=5,
            label=label,
        )  # fmt: skip
    by_length.set(yscale="log", ylabel="processor time, s")
    by_length.set_yticks([1, 10, 100], ["1", "10", "100"])
    for axes in (by_length, memory):
        axes.set(xscale="log", xlabel="simulated time", xlim=(0.5, 1e6))
        axes.set_xticks([1, 60, 3600, 86400], ["1 s", "1 min", "1 h", "1 day"])
        axes.minorticks_off()
    memory.set(ylabel="memory, MB", ylim=(0, None))
    memory.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def main(folder: Path) -> None:
    """Write every picture to ``folder``."""
    for draw in (phase_error, direction, sigma_delta_response, ct_current, ct_circuit, scaling, speed):
        with plt.rc_context(STYLE):
            figure = draw()
            figure.savefig(folder / f"{draw.__name__}.svg", metadata={"Date": None}, facecolor="white")
            plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
