"""The accuracy report's page: whole, well-formed, complete, nothing from elsewhere; and a browser shows it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from blondel.hdl.config import MeterConfig
from blondel.host.accuracy import Accuracy, limits, only, report, shown
from blondel.host.accuracy_page import page
from blondel.host.accuracy_pictures import error_curves
from blondel.sim.afe.parts import Parts
from blondel.sim.calibrate import calibrate
from blondel.sim.standards.budget import budget
from blondel.sim.standards.laboratory import plan, run
from blondel.sim.standards.population import Member, population
from blondel.sim.standards.results import TypeTest

CONFIG = MeterConfig.for_model("MDNCT-2SC")
VOID = {"meta", "col", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, and refuses what is not well-formed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._open = [], "", []
        #: Text of each row of a table, by cell.
        self.rows = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"<{tag}> says {names}"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attributes for each, attributes in self.elements if each == tag]


def plain(text):
    """Return a text with spaces that may break, and with the minus signs that ``float`` reads."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.fixture(scope="module")
def found():
    parts = Parts.nominal(CONFIG)
    test = plan(calibrate(CONFIG, parts), parts, "0.5", quick=True, seed=1)
    members, shares = population(CONFIG, 3, seed=1), budget(CONFIG, 1, seed=1)
    return Accuracy(
        "0.1.0 (0a1b2c3d)", "2026-01-02T03:04:05+00:00", "nominal parts", "on the simulated bench, 23 °C",
        test.judge(run(test.tasks)), members.judge(run(members.tasks)), shares.judge(run(shares.tasks)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(found):
    return page(found)


@pytest.fixture(scope="module")
def read(text):
    return Page(text)


def test_results_go_through_json(found):
    again = Accuracy.from_json(json.loads(json.dumps(found.to_json())))
    assert report(again) == report(found)
    assert page(again) == page(found)


def test_nothing_comes_from_elsewhere(read, text):
    for tag, attributes in read.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "img"), tag
        for name in ("src", "srcset", "href", "xlink:href", "action", "poster", "data"):
            if name in attributes:
                assert attributes[name].startswith("#"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_links_lead_somewhere(read, found):
    ids = Counter(attributes["id"] for _, attributes in read.elements if "id" in attributes)
    assert [name for name, number in ids.items() if number > 1] == []
    links = {attributes["href"][1:] for attributes in read.all("a")} | {
        attributes["xlink:href"][1:] for attributes in read.all("use")
    }
    links |= set(re.findall(r"url\(#([^)]*)\)", str(read.elements)))
    assert links <= set(ids)
    assert {f"test-{test.key}" for test in found.test.tests} <= set(ids)


def test_every_verdict_and_every_point_is_there(read, found):
    rows = [[plain(cell) for cell in row] for row in read.rows]
    for test in found.test.tests:
        verdict = {True: "passed", False: "failed", None: "information"}[test.passed]
        assert any(row[0] == test.title and row[-1] == verdict for row in rows), test.key
        assert plain(test.text) in plain(read.text)
        assert plain(test.provenance.text) in plain(read.text)
        for point in test.points:
            own = [plain(point.label), point.quantity, plain(shown(point.value, point.unit))]
            assert any(row[:3] == own and row[4] == plain(limits(point)) for row in rows), own
    assert "Passed" in read.text
    for assumption in found.test.assumptions:
        assert plain(assumption) in plain(read.text)


def test_what_was_configured_is_there(read, found):
    for said in ("0.1.0 (0a1b2c3d)", "2026-01-02 03:04 UTC", "nominal parts", "108 to 132 V, 60 Hz"):
        assert said in plain(read.text)
    current = found.test.config["calibration"][3]
    row = next(row for row in read.rows if row[0] == "element 2, current")
    assert float(row[1]) == pytest.approx(current["gain"], abs=1e-6)
    assert float(plain(row[2]).removesuffix(" µs")) == pytest.approx(current["delay_s"] * 1e6, abs=1e-2)


def test_population_and_budget_are_there(read, found):
    for name in ("0.5", "0.2", "0.1"):
        each = found.population.yield_of(name)
        assert [name, f"{each.passed} of 3"] in [row[:2] for row in read.rows]
    arithmetic = found.budget.rms_percent[0][0]
    assert ["arithmetic", *(f"{each:.4f}" for each in arithmetic)] in read.rows


def test_who_does_not_see_the_pictures_is_told(read):
    pictures = [attributes for _, attributes in read.elements if attributes.get("role") == "img"]
    assert len(pictures) == len(read.all("svg")) == 4
    assert all(len(each["aria-label"]) > 40 for each in pictures)
    assert all("scope" in each for each in read.all("th"))
    assert read.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_curve_has_every_load_once(found):
    curves = error_curves(found.test)
    assert {"1", "0.5lag", "0.866lead"} <= set(curves)
    for factor, points in curves.items():
        amps = [point.stimulus["amps"][0] for point in points]
        assert amps == sorted(set(amps))
        assert {point.stimulus["factor"] for point in points} == {factor}
        assert {point.stimulus["temperature_c"] for point in points} == {23.0}
    assert len(curves["1"]) >= 5


def test_a_failure_is_said_first(found):
    tests = list(found.test.tests)
    point = replace(tests[0].points[0], value=1.5, high=1.0)
    tests[0] = replace(tests[0], points=(point, *tests[0].points[1:]))
    failed = replace(found, test=replace(found.test, tests=tuple(tests)))
    read = Page(page(failed))
    assert "Failed" in read.text
    assert "1 of 18 tests failed: Load performance." in re.sub(r"\s+", " ", read.text)
    row = next(row for row in read.rows if row[0] == "Load performance")
    assert row[-1] == "failed"
    assert row[5] == "150 %"


def test_what_is_not_there_is_left_out(found):
    none = replace(found.test, tests=())
    read = Page(page(replace(found, test=none, population=None, budget=None)))
    assert read.all("svg") == []
    assert "Verdicts" not in read.text
    assert "Passed" not in read.text
    # Meters that could not be calibrated have no errors to be drawn.
    faults = replace(found.population, members=(Member(0, (), "the CTs are swapped"),))
    read = Page(page(replace(found, test=none, population=faults, budget=None)))
    assert read.all("svg") == []
    assert "0: the CTs are swapped" in read.text


def test_texts_are_no_markup(found):
    named = replace(found, meter="<script>alert('&')</script>", population=None, budget=None)
    assert "<script>alert('&')</script>" in Page(page(named)).text


def test_other_standards_and_one_element():
    config = MeterConfig.for_model("MSNCT-1SC", 50)
    parts = Parts.nominal(config)
    test = only(plan(config, parts, "0.5S", quick=True), ["load_performance", "power_factor", "voltage"])
    found = Accuracy("0", "2026-01-02T03:04:05+00:00", "", "", test.judge(run(test.tasks)))
    read = Page(page(found))
    assert "IEC 62053-22 class 0.5S, 50 Hz" in read.text
    assert isinstance(found.test, TypeTest)
    assert [row for row in read.rows if row == ["neutral"]]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium here: the page was not looked at")
def test_a_browser_shows_it(text, tmp_path):
    (tmp_path / "report.html").write_text(text)
    picture = tmp_path / "report.png"
    subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
         f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", "--window-size=1200,3000",
         (tmp_path / "report.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    seen = np.round(imread(picture)[..., :3] * 255).astype(int)
    assert seen.shape == (3000, 1200, 3)
    # Ink, the verdict's green and the curves' blue are there; the margins are white.
    for colour in ((0x1B, 0x1F, 0x24), (0x11, 0x63, 0x3F), (0x1F, 0x5A, 0x96)):
        assert (seen == colour).all(axis=-1).sum() > 100
    assert (seen[:, :40] == 255).all()
    assert (seen[:, -40:] == 255).all()
