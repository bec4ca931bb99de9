"""The golden model's state as the generated design holds it between two frames: what to put in, and to compare."""

from __future__ import annotations

import numpy as np

from blondel.hdl.config import PHASE_FRACTION_BITS
from blondel.hdl.outputs.pulses import LEVELS, Queue
from blondel.sim.engine import Record
from blondel.sim.golden.energy import NO_LOAD, REVERSED
from blondel.sim.golden.indicators import OVERRANGE, VOLTAGE
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import RtlMeter

__all__ = ["differences", "take_over"]

#: Where the pulse outputs' memory has a meter's words, and in them the levels of several meters' outputs.
_METER_WORDS, _LEVELS = 16, int(Queue.COUNTER_DRIVEN)


def _bits(flags: np.ndarray) -> int:
    return sum(int(flag) << n for n, flag in enumerate(flags))


def _levels(golden: GoldenMeter, content: dict[str, np.ndarray]) -> dict[str, list[int]]:
    """Return the levels of the outputs, of each meter or of each element."""
    meters = range(len(golden.config.meter_elements))
    halves = [content[f"pulses[{m}].records"][:, 1] for m in meters]
    status, shown = content["indicators.status"], content["shown"]
    return {
        "output_10": [half % 2 for half, _ in halves],
        "output_100": [half // 10 % 2 for half, _ in halves],
        "output_1000": [half // 100 for half, _ in halves],
        "test": [test for _, test in halves],
        "counter": [len(content[f"counter[{m}].falls"]) for m in meters],
        "queued": [content[f"pulses[{m}].queued"] for m in meters],
        "voltage": status & VOLTAGE,
        "overrange": (status & OVERRANGE) // OVERRANGE,
        "reversed": shown & REVERSED,
        "no_load": (shown & NO_LOAD) // NO_LOAD,
    }


def _words(golden: GoldenMeter, place: int) -> dict[str, dict[int, int]]:
    """Return what the design's flip-flops and memories hold, by name and word; but for the registers.

    What is not said here is either a constant, or means nothing between two frames.

    Parameters
    ----------
    golden : GoldenMeter
        The state.
    place : int
        Where the delay lines have their next samples.
    """
    config, content = golden.config, golden.content()
    channels, several = range(config.channels), len(config.meter_elements) > 1
    _, _, window_place, voltage = content["frame.words"].tolist()
    words = {
        "frame_input window_place": {0: window_place},
        "frame_input negative_before": {0: voltage < 0},
        "offset age": {0: content["offset.age"][0]},
        "phase place": {0: place},
    }
    words["offset memory"] = {2 * c: content["offset.correction"][c] for c in channels}
    if config.offset_tracking:
        words["offset memory"] |= {2 * c + 1: content["offset.total"][c] for c in channels}
    words["phase memory"], fraction = {}, (1 << PHASE_FRACTION_BITS) - 1
    for c, total in enumerate(content["phase.total"]):
        calibration = content["phase.coefficient"][c] & fraction | content["phase.whole"][c] << PHASE_FRACTION_BITS
        own = (calibration, ~(total >> PHASE_FRACTION_BITS), total & fraction)
        words["phase memory"] |= {4 * c + n: word for n, word in enumerate(own)}
    lines, samples = content["phase.history"], 1 << config.delay_line_log2
    words["phase line"] = {c * samples + (place + n) % samples: lines[c, n] for c in channels for n in range(samples)}
    gains = np.stack([content["gain.gain"], content["gain.remainder"]], axis=1)
    words["gain memory"] = dict(enumerate(gains.ravel()))

    levels = _levels(golden, content)
    sums = content["indicators.sums"].ravel()
    flags = np.stack([levels["voltage"], levels["overrange"]], axis=1).ravel()
    words["indicators memory"] = {c: sums[c] + (flags[c] << config.indicator_bits) for c in channels}
    for name in ("voltage", "overrange", "reversed", "no_load"):
        words[f"energy shadow_{name}"] = {0: _bits(levels[name])}

    timers = words["pulses memory"] = {}
    for meter in range(len(config.meter_elements)):
        first = _METER_WORDS * meter
        for queue, (_, blocked) in enumerate(content[f"pulses[{meter}].queues"]):
            timers[first + queue] = -blocked
        falls, (_, blocked) = content[f"counter[{meter}].falls"], content[f"counter[{meter}].queue"]
        timers[first + Queue.COUNTER] = -(falls[0] if len(falls) else blocked)
        if several:
            timers[first + _LEVELS] = _bits([levels[name][meter] for name in LEVELS])
    if several:
        words["pulses any_queued"] = {0: any(levels["queued"])}
    # The ports' flip-flops.
    return words | {name: {0: _bits(each)} for name, each in levels.items()}


def _masked(value: int, width: int) -> int:
    return int(value) & ((1 << width) - 1)


def take_over(rtl: RtlMeter, golden: GoldenMeter) -> None:
    """Let the generated design go on where the golden model stands: in every flip-flop and memory that matters.

    Parameters
    ----------
    rtl : RtlMeter
        Of the same configuration, without options; its state is lost.
    golden : GoldenMeter
        Stays as it is.
    """
    rtl.reset()
    state = golden.state()
    # The indicators are in the same words as the gate's flags.
    state.energy[: golden.config.elements, Record.GATE, 1] |= golden.content()["indicators.status"] << 3
    rtl.preset(state)
    rtl.rest()
    for name, chosen in _words(golden, 0).items():
        words, width = rtl.words(f"meter {name}")
        for index, value in chosen.items():
            words[index] = _masked(value, width)
        rtl.put_words(f"meter {name}", words)
    rtl.begin_after(int(golden.content()["frame"]))


def differences(rtl: RtlMeter, golden: GoldenMeter) -> list[str]:
    """Return what differs between the generated design and the golden model, a line each; none where all is equal.

    The registers are not looked at: :meth:`RtlMeter.state` has them.
    """
    rtl.rest()
    place = int(rtl.words("meter phase place")[0][0])
    found = []
    for name, chosen in _words(golden, place).items():
        words, width = rtl.words(f"meter {name}")
        for index, value in chosen.items():
            if int(words[index]) != _masked(value, width):
                found.append(f"{name}[{index}]: {int(words[index])}, not {_masked(value, width)}")
    return found
