"""What a person reads after a calibration."""

from __future__ import annotations

from blondel.hdl.config import MeterConfig
from blondel.host.words import quantity
from blondel.sim.calibrate import Adjustment, test_amps

__all__ = ["report", "to_json"]


def to_json(config: MeterConfig, adjustment: Adjustment, again: Adjustment | None) -> dict[str, object]:
    """Return what ``json.dumps`` takes.

    Parameters
    ----------
    config : MeterConfig
        The meter's, with the calibration that it had.
    adjustment : Adjustment
        The one that it gets.
    again : Adjustment or None
        What was found when the meter was measured once more; ``None``: the errors that are left are predicted.
    """
    elements = []
    for element, each in enumerate(adjustment.elements):
        unity, lag = each.unity_left, each.lag_left
        if again is not None:
            unity, lag = again.elements[element].unity_found, again.elements[element].lag_found
        before = config.channel_calibration(2 * element + 1)
        elements.append(
            {
                "found_unity_percent": 100 * each.unity_found,
                "found_lag_percent": 100 * each.lag_found,
                "gain_factor": each.current.gain / before.gain,
                "delay_change_us": 1e6 * (each.current.delay_s - before.delay_s),
                "left_unity_percent": 100 * unity,
                "left_lag_percent": 100 * lag,
                "verdict": "kept" if each.kept else "corrected",
            }
        )
    return {
        "model": config.model,
        "line_hz": config.line.hertz,
        "test_amps": test_amps(config),
        "bench": "readings" if again is None else "simulated",
        "left": "predicted" if again is None else "measured",
        "elements": elements,
    }


def report(config: MeterConfig, adjustment: Adjustment, again: Adjustment | None) -> str:
    """Return a calibration as text: parameters as for :func:`to_json`."""
    found = to_json(config, adjustment, again)
    rows = [("", "found %: PF 1", "0.5 lag", "gain ×", "delay µs", "left %: PF 1", "0.5 lag", "")]
    for number, each in enumerate(found["elements"], start=1):
        # Rounded, then + 0.0: no -0.0000.
        errors = [
            f"{round(each[f'{key}_percent'], 4) + 0.0:+.4f}"
            for key in ("found_unity", "found_lag", "left_unity", "left_lag")
        ]
        words = f"{each['gain_factor']:.6f}", f"{each['delay_change_us']:+.3f}"
        rows.append((f"element {number}", *errors[:2], *words, *errors[2:], each["verdict"]))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    bench = {"readings": "from readings", "simulated": "on a simulated bench"}[found["bench"]]
    lines = [
        f"{config.model} at {config.line.hertz} Hz, {quantity(test_amps(config), 'A')}, {bench}; what is left is "
        f"{found['left']}",
        "",
        *(
            "   ".join(f"{cell:{'<' if n in (0, 7) else '>'}{widths[n]}}" for n, cell in enumerate(row)).rstrip()
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"
