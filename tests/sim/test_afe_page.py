"""The analog front end's page: its tables are what the circuits give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.current_transformer import ct_errors, current_transformer
from blondel.sim.afe.lead import Lead

PAGE = (Path(__file__).parents[2] / "docs" / "afe.md").read_text().replace("−", "-")
MODELS = {
    "Solid-core, 100 A": "MSNCT-1SC", "Split-core, 100 A": "MSNCT-1SP",
    "Solid-core, 200 A": "MSNCT-2SC", "Split-core, 200 A": "MSNCT-2SP",
}  # fmt: skip


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table under a heading, its own heading first."""
    table = re.search(rf"^#### {title}\n\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    head, _, *body = table[1].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *body)]


@pytest.mark.parametrize("title", MODELS)
def test_errors_of_the_cts(title):
    ct = current_transformer(MeterConfig.for_model(MODELS[title]))
    head, *body = rows(title)
    currents = [float(cell.removesuffix(" %")) / 100 for cell in head[2:]]
    assert len(currents) == 6
    assert len(body) >= 3
    for temperature, length, *cells in body:
        for current, cell in zip(currents, cells, strict=True):
            amps, lead = current * ct.turns / 10, Lead(float(length))
            found = ct_errors(ct, amps, lead=lead, temperature_c=float(temperature))
            assert cell == f"{found.ratio_percent:.4f}, {found.phase_minutes:.2f}"
