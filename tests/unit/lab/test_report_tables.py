from __future__ import annotations

import math
import re
import typing
from html.parser import HTMLParser

import pytest

from heartify.disclosure.cells import Kind
from heartify.disclosure.released import build_released_weight
from heartify.disclosure.tables import TABLES, ExactTable, release_table
from heartify.enclave.analyses import ANALYSES
from heartify.errors import IntegrityError
from heartify.lab.opening import check_tables
from heartify.lab.report import render_report, table_groups, table_words, wording
from heartify.lab.report.checklists import STROBE, TRIPOD_AI
from heartify.lab.settlement import SettlementDocument
from heartify.lab.verification import Check, Verification
from heartify.protocol.plan import parse_plan_toml
from heartify.protocol.result import HospitalResult, RuleResult, Skipped, StudyResult, Table, Weight

DEAL = "0x" + "ab12cd34" * 8
HOSPITALS = ("aspen", "birch", "cedar", "dogwood")
HEAD = """
title = "Which parameters carry weight?"
purpose = "health-research"
outcome = { column = "cvd", equals = "1" }
"""
FACTORS = """
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "sex", equals = "m" },
  { name = "sbp", column = "sbp", spline = 4 },
  { name = "grade", column = "grade", reference = "1" },
]
interactions = [{ first = "age", second = "male" }]
"""
PLAN = parse_plan_toml(HEAD + FACTORS + "describe = {}\nheterogeneity = {}\nselection = {}")
PLAIN = parse_plan_toml(
    HEAD + 'factors = [{ name = "bmi", column = "bmi" }, { name = "grade", column = "grade", reference = "1" }]'
)
COX = parse_plan_toml(
    HEAD + 'follow_up = { time = "days" }\nanalysis = { model = "cox", strata = ["sex"] }\n'
    'factors = [{ name = "bmi", column = "bmi" }]'
)
TITLES = {"age": "Age", "male": "Male sex", "sbp": "Systolic blood pressure", "grade": "Grade of disease",
          "grade=3": "Grade of disease: severe"}  # fmt: skip
COLUMNS = (("age", "age", 0.05, 0.01, 9.0), ("male", "male", 0.4, 0.2, 0.5), ("sbp", "sbp", 0.01, 0.004, 20.0),
           ("sbp", "sbp'", 0.02, 0.01, 18.0), ("sbp", "sbp''", -0.03, 0.02, 12.0),
           ("grade", "grade=2", 0.31, 0.11, 0.45), ("grade", "grade=3", 0.9, 0.15, 0.4),
           ("age:male", "age:male", -0.01, 0.008, 30.0))  # fmt: skip
PLAIN_COLUMNS = (("bmi", "bmi", 0.06, 0.012, 4.0), COLUMNS[5], COLUMNS[6])

ALLOWED = (
    "fixed effects", "fixed effect", "random effects", "cause-specific", "competing cause", "reverse causation",
    "total effect", "not causal", "causation", "the association is one of cause", "each cause",
    "due to interaction",
)  # fmt: skip
"""Fixed quotations: names of methods, and sentences that deny causation."""
CAUSAL = re.compile(
    r"\b(caus\w*|effects?|leads? to|leading to|risk factors?|protective|reduc\w*|increases?|increased|decreas\w*"
    r"|impact\w*|influences|determinants?|drives?|driven|prevents?|prevented|contributes to|due to"
    r"|results? in|improves?)\b",
    re.IGNORECASE,
)


class Page(HTMLParser):
    """Keeps ids, references, links, texts and captions; fails where a tag is closed out of turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.links, self.refs, self.words = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"].removeprefix("#")] if "href" in values else []
        self.refs += (values.get("aria-labelledby") or "").split()
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def named(name, *rows):
    """Release exact rows given by column name, as many of them as the table has; the others are not estimable."""
    empty = {column.name: "-" if column.kind is Kind.LABEL else None for column in TABLES[name].columns}
    table = release_table(
        ExactTable(name, [{column: row.get(column, empty[column]) for column in empty} for row in rows]), TABLES
    )
    return Table(name=table.name, columns=table.columns, rows=table.rows)


_EXAMPLES = {Kind.LABEL: "age", Kind.NUMBER: 3, Kind.COUNT: 137, Kind.SE: 0.0123, Kind.ESTIMATE: 0.2345,
             Kind.BOUND: 0.2567, Kind.P: math.log(0.0321), Kind.STATISTIC: 12.345, Kind.MAGNITUDE: 98.76,
             Kind.INDEX: 0.7654, Kind.FINE_INDEX: 0.12345}  # fmt: skip


def any_table(name, *, hidden=False):
    """Return a table with one full row, or one in which everything that may be is suppressed."""
    cells = {column.name: _EXAMPLES.get(column.kind, 12.345) for column in TABLES[name].columns}
    gone = {column.name: value if isinstance(value, str) else None for column, value in
            zip(TABLES[name].columns, cells.values(), strict=True)}  # fmt: skip
    return named(name, gone if hidden else cells)


def weights(columns=COLUMNS):
    shown = [(term, build_released_weight(name, *numbers)) for term, name, *numbers in columns]
    return tuple(
        Weight(term=term, unit="1", **{field: getattr(item, field) for field in item.__dataclass_fields__})
        for term, item in shown
    )


def build_result(plan, columns=COLUMNS, **fields):
    hospitals = tuple(
        HospitalResult(name=name, dataset_version=f"0x{i:064x}", status="contributed", n=300, events=100)
        for i, name in enumerate(HOSPITALS)
    )
    defaults = {
        "deal": DEAL, "plan_digest": plan.digest(), "simulated": False, "outcome": "cvd = 1", "n": 1200, "events": 400,
        "events_n": 1200, "auc": 0.78, "weights": weights(columns), "hospitals": hospitals,
        "disclosure_profile": "sdc-1", "disclosure": (RuleResult(rule=1, verdict="pass"),), "notes": (),
    }  # fmt: skip
    return StudyResult(**{**defaults, **fields})


def render(plan=PLAN, columns=COLUMNS, *, titles=None, **fields):
    settlement = SettlementDocument(
        deal=DEAL, state="DELIVERED", outcome="delivered", simulated=False, locked="13", locked_shown="13 HTT",
        payments=(), token="HTT", match_gas=None, settle_gas=None, match_tx=None, settle_tx=None,
    )  # fmt: skip
    return render_report(
        plan=plan, result=build_result(plan, columns, **fields), outcome="delivered",
        verification=Verification(DEAL, False, (Check("deal", passed=True, reason="it hashes to its id"),)),
        settlement=settlement, factor_titles=titles or {}, produced_utc="2026-11-22 09:30 UTC", version="0.1.0",
    )  # fmt: skip


def render_cox(**fields):
    return render(COX, PLAIN_COLUMNS[:1], model="cox", auc=None, concordance=0.71, **fields)


def full_tables():
    """Return tables as a real study has them, for every plot that there is."""
    log = math.log
    own = {"aspen": (0.05, 0.02), "birch": (0.04, 0.016), "cedar": (0.075, 0.02)}
    return (
        named("flow", *({"hospital": h, "step": step, "n": n} for h in HOSPITALS[:2]
                        for step, n in (("read", 340), ("outcome missing", 4), ("complete cases", 300)))),
        named("missingness", *({"hospital": h, "factor": "sbp", "rows": 340, "missing": m}
                               for h, m in zip(HOSPITALS, (40, 25, 5, 12), strict=True))),
        named("tests", {"term": "sbp", "hypothesis": "no association", "test": "likelihood-ratio", "chi2": 31.24,
                        "df": 3, "p": log(1e-6)}),
        named("curves", *({"factor": "sbp", "at": at, "reference": 120.0, "se": 0.05 + abs(at - 120) / 300,
                           "estimate": 0.012 * (at - 120) + 0.0001 * (at - 120) ** 2,
                           "ci_low": 0.012 * (at - 120) - 0.1, "ci_high": 0.012 * (at - 120) + 0.5}
                          for at in range(100, 181, 5))),
        named("survival", *({"group": g, "time": t, "at_risk": 300 - t / 10, "survival": math.exp(-t / 2500),
                             "ci_low": math.exp(-t / 2500) - 0.04, "ci_high": math.exp(-t / 2500) + 0.04}
                            for g in ("all hospitals", "aspen") for t in range(200, 2001, 200))),
        named("cumulative_incidence",
              *({"group": "all hospitals", "cause": cause, "time": t, "at_risk": 300, "incidence": rate * t,
                 "ci_low": rate * t - 0.02, "ci_high": rate * t + 0.02}
                for cause, rate in (("outcome", 2e-4), ("competing", 1e-4)) for t in range(200, 2001, 200))),
        named("partial_chi2", *({"term": t, "chi2": c, "df": 1, "chi2_minus_df": c - 1, "ci_low": c / 2,
                                 "ci_high": 2 * c, "rank": r, "rank_low": 1, "rank_high": 3, "first": 0.5}
                                for r, (t, c) in enumerate((("age", 40.0), ("sbp", 22.0), ("male", 5.0)), 1))),
        named("dominance", *({"term": t, "r2": v / 5, "share": v, "ci_low": v - 0.1, "ci_high": v + 0.1, "rank": r,
                              "rank_low": 1, "rank_high": 3, "first": 0.5}
                             for r, (t, v) in enumerate((("age", 0.5), ("sbp", 0.3), ("male", 0.2)), 1))),
        named("hospital_estimates",
              *({"factor": "age", "hospital": h, "status": "estimated", "n": 300, "se": se, "estimate": b,
                 "ci_low": b - 1.96 * se, "ci_high": b + 1.96 * se} for h, (b, se) in own.items()),
              {"factor": "age", "hospital": "dogwood", "status": "suppressed"}),
        named("meta_analysis",
              {"factor": "age", "model": "fixed effect", "hospitals": 3, "se": 0.01, "estimate": 0.055,
               "ci_low": 0.035, "ci_high": 0.075},
              {"factor": "age", "model": "random effects", "hospitals": 3, "se": 0.012, "estimate": 0.056,
               "ci_low": 0.02, "ci_high": 0.09, "tau2": 0.0003, "i2": 0.31, "prediction_low": -0.01,
               "prediction_high": 0.12}),
        named("calibration_groups", *({"group": g, "n": 120, "events": 12 * g, "non_events": 130 - 12 * g,
                                       "predicted": g / 11, "observed": g / 11 + 0.03 * (-1) ** g}
                                      for g in range(1, 10))),
        named("calibration_curve", *({"predicted": x / 20, "observed": x / 20 + 0.02, "ci_low": x / 20 - 0.05,
                                      "ci_high": x / 20 + 0.08} for x in range(2, 18))),
        named("roc", *({"threshold": t / 10, "above": 1200 - 100 * t, "below": 100 * t,
                        "sensitivity": 1 - (t / 10) ** 2, "specificity": (t / 10) ** 0.5} for t in range(1, 10))),
        named("net_benefit", *({"threshold": t / 20, "above": 900, "below": 300, "treat_all": 0.33 - t / 15,
                                "model": 0.33 - t / 40}
                               for t in range(1, 9))),
        named("increment_net_benefit", *({"threshold": t / 20, "above_base": 900, "below_base": 300, "above_new": 900,
                                          "below_new": 300, "treat_all": 0.33 - t / 15, "base": 0.31 - t / 36,
                                          "new": 0.33 - t / 40} for t in range(1, 9))),
        named("increment", {"measure": "IDI", "group": "events", "se": 0.004, "estimate": 0.021, "ci_low": 0.013,
                            "ci_high": 0.029}),
        named("stability", *({"factor": t, "frequency": f, "selected": "selected" if f > 0.75 else "not selected"}
                             for t, f in (("age", 0.98), ("sbp", 0.81), ("male", 0.4)))),
        named("screen_summary", {"measure": "candidates tested", "value": 1000.0},
              {"measure": "lambda GC", "value": 1.04}),
        named("screen_qq", *({"expected": x / 10, "observed": x / 10 + (x / 20) ** 3, "band_low": x / 10 - 0.1 - x / 90,
                              "band_high": x / 10 + 0.1 + x / 60} for x in range(31))),
        named("imputation", {"factor": "age", "imputations": 20, "se": 0.011, "estimate": 0.05, "ci_low": 0.028,
                             "ci_high": 0.072, "p": log(0.0004), "missing_information": 0.12, "df": 310.0}),
    )  # fmt: skip


def all_tables():
    full = full_tables()
    return full + tuple(any_table(name) for name in TABLES if name not in {table.name for table in full})


PAGES = {
    "everything": lambda: render(tables=all_tables(), titles=TITLES),
    "suppressed": lambda: render(tables=tuple(any_table(name, hidden=True) for name in TABLES)),
    "plain": lambda: render(PLAIN, PLAIN_COLUMNS),
    "cox": lambda: render_cox(tables=all_tables()),
    "imputed with Firth": lambda: render(imputations=20, estimation="firth"),
    "skipped": lambda: render(skipped=(Skipped(analysis="performance", reason="small_cell"),)),
}


@pytest.fixture(params=PAGES, ids=str)
def page(request):
    return PAGES[request.param]()


def test_every_table_of_the_closed_list_has_words_and_a_place_and_no_other():
    placed = [name for group in table_groups.GROUPS for name in group.tables]

    assert set(table_words.TABLE_WORDS) == set(TABLES)
    assert sorted(placed) == sorted(TABLES)


def test_every_analysis_of_the_enclave_and_every_reason_to_skip_one_has_words():
    names = {analysis.name for analysis in ANALYSES}
    reasons = set(typing.get_args(typing.get_type_hints(Skipped)["reason"]))

    assert names <= set(table_groups.ANALYSES)
    assert reasons == set(table_groups.SKIPPED)


def test_every_table_is_on_the_page_with_its_title_its_sentence_and_its_columns():
    text = Page(PAGES["everything"]()).text

    for name in TABLES:
        words = table_words.TABLE_WORDS[name]
        assert words.title in text, name
        assert words.explanation in text, name


def test_a_page_is_well_formed_and_every_reference_and_link_resolves(page):
    parsed = Page(page)

    assert len(set(parsed.ids)) == len(parsed.ids)
    assert set(parsed.refs) <= set(parsed.ids)
    assert set(parsed.links) <= set(parsed.ids)


def test_nothing_on_a_page_is_not_a_number(page):
    text = Page(page).text

    assert not re.search(r"\b(None|nan|inf)\b", text)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', page)


def test_no_page_speaks_of_causes(page):
    text = Page(page).text.lower()
    for quotation in ALLOWED:
        text = text.replace(quotation, "")

    assert CAUSAL.findall(text) == []


def test_no_words_of_the_report_speak_of_causes():
    texts = [word for words in table_words.TABLE_WORDS.values()
             for word in (words.title, words.explanation, *words.headings.values())]  # fmt: skip
    texts += [word for group in table_groups.GROUPS for word in (group.title, group.caution)]
    texts += [*table_groups.ANALYSES.values(), *table_groups.SKIPPED.values(), *wording.NOTES.values()]
    texts += [*table_words.HEADINGS.values(), *wording.MODELS.values()]

    for text in texts:
        lowered = text.lower()
        for quotation in ALLOWED:
            lowered = lowered.replace(quotation, "")
        assert CAUSAL.findall(lowered) == [], text


@pytest.mark.parametrize(
    "sentence", ["Smoking increases the risk", "the effect of age", "sbp causes cvd", "due to age"]
)
def test_the_guard_of_words_knows_a_causal_sentence(sentence):
    assert CAUSAL.search(sentence)


def test_every_plot_stands_on_the_page_with_a_title_and_a_description():
    page = PAGES["everything"]()
    svgs = re.findall(r'<svg class="plot".*?</svg>', page, re.DOTALL)
    titles = {re.search(r"<title[^>]*>([^<]*)", svg)[1] for svg in svgs}

    assert {"Calibration", "ROC curve", "QQ plot", "Missing values", "Selection frequencies", "Age",
            "Systolic blood pressure", "event-free share: aspen"} <= titles  # fmt: skip
    assert all(re.search(r"<desc[^>]*>[^<]+", svg) for svg in svgs)


def test_every_plot_lies_within_its_picture():
    for svg in re.findall(r'<svg class="plot".*?</svg>', PAGES["everything"](), re.DOTALL):
        width, height = (float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        places = [pair.split(",") for points in re.findall(r'points="([^"]*)"', svg) for pair in points.split()]
        places += re.findall(r'<circle class="[^"]*" cx="([^"]*)" cy="([^"]*)"', svg)
        assert places
        assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in places)


def test_a_piece_of_a_curve_has_no_forest_of_its_own_and_a_warning_in_tables():
    rows = ({"factor": factor, "hospital": "aspen", "status": "estimated", "n": 300, "se": 0.01, "estimate": 0.02,
             "ci_low": 0.0, "ci_high": 0.04} for factor in ("age", "sbp", "sbp'"))  # fmt: skip

    page = render(tables=(named("hospital_estimates", *rows),))

    assert page.count('<svg class="plot"') == 1
    assert "The columns of a spline (sbp) are not to be read one by one." in page


def test_a_long_table_is_folded_and_a_short_one_is_open():
    short = named("flow", *({"hospital": "aspen", "step": "read", "n": 300} for _ in range(20)))
    long = named("flow", *({"hospital": "aspen", "step": "read", "n": 300} for _ in range(70)))

    assert "Flow of patients: 20 rows" not in render(tables=(short,))
    assert "<summary>Flow of patients: 70 rows</summary>" in render(tables=(long,))


def test_no_plot_stands_without_its_table():
    assert '<svg class="plot"' not in PAGES["plain"]()


def test_tables_in_which_all_is_suppressed_have_no_plot():
    assert '<svg class="plot"' not in PAGES["suppressed"]()


def test_a_table_without_the_columns_of_its_plot_is_shown_without_one():
    table = Table(name="roc", columns=("threshold",), rows=((0.5,),))

    page = render(tables=(table,))

    assert "ROC curve" in page
    assert '<svg class="plot"' not in page


def test_a_table_that_the_report_has_no_words_for_is_shown_under_its_name():
    text = Page(render(tables=(Table(name="new_measure", columns=("measure", "value"), rows=(("x", "0.25"),)),))).text

    assert "Other tables" in text
    assert "New measure" in text


def test_a_suppressed_count_is_a_dash_and_a_shown_one_its_rounded_number():
    table = named(
        "flow", {"hospital": "aspen", "step": "read", "n": 343}, {"hospital": "birch", "step": "read", "n": 7}
    )

    page = render(tables=(table,))

    assert '<td class="num"><data value="345">345</data></td>' in page
    assert '<td class="num hidden">—</td>' in page
    assert "disclosure rules suppress" in page


def test_an_estimate_on_the_log_scale_stands_beside_its_ratio_from_the_released_numbers():
    table = named("robust", {"errors": "robust", "factor": "age", "se": 0.1, "estimate": 0.5, "ci_low": 0.3,
                             "ci_high": 0.7, "p": math.log(0.02)})  # fmt: skip

    page = render(tables=(table,))

    assert f'<data value="{math.exp(0.5)!r}">1.65</data>' in page
    assert "odds ratio (95 % CI)" in Page(page).text


def test_a_cox_model_speaks_of_hazards_and_never_of_odds():
    text = Page(render_cox()).text

    assert "hazard ratio" in text
    assert "HR per SD" in text
    assert not re.search(
        r"\bodds\b|\bAUC\b|\bintercept\b", text.split("Reporting guidelines")[0].split("Disclosure control")[0]
    )
    assert "0.71" in text


def test_a_logistic_model_speaks_of_odds_and_never_of_hazards():
    text = Page(PAGES["plain"]()).text

    assert "odds ratio" in text
    assert "hazard" not in text.split("Reporting guidelines")[0]


@pytest.mark.parametrize("numbers", [{"auc": None}, {"concordance": 0.7}, {"auc": None, "concordance": 0.7}])
def test_a_logistic_result_needs_an_auc_and_no_concordance(numbers):
    with pytest.raises(IntegrityError, match="AUC"):
        render(**numbers)


def test_a_result_of_another_model_than_the_plans_is_refused():
    with pytest.raises(IntegrityError, match="another model"):
        render(PLAIN, PLAIN_COLUMNS, model="cox", auc=None, concordance=0.7)


def test_levels_are_named_by_the_dictionary_and_their_reference():
    page = render(PLAIN, PLAIN_COLUMNS, titles=TITLES)

    assert "Grade of disease: severe" in Page(page).text
    assert ">v. 1</td>" in page


def test_pieces_of_a_curve_and_products_are_neither_in_the_forest_plot_nor_among_the_leaders():
    page = render(titles=TITLES)
    forest = re.search(r'<svg class="forest".*?</svg>', page, re.DOTALL)[0]
    lead = re.search(r'<p class="lead">.*?</p>', page, re.DOTALL)[0]

    assert "Grade of disease: severe" in forest
    for absent in ("sbp", "Systolic", "Age", "Male"):
        assert absent not in forest
        assert f"<strong><bdi>{absent}" not in lead
    assert 'id="products"' in page
    assert 'id="curved"' in page


def test_a_weight_that_an_interaction_qualifies_says_so():
    assert 'href="#conditional"' in render()
    assert 'href="#conditional"' not in PAGES["plain"]()


def test_each_weight_prints_what_it_is_adjusted_for():
    page = render(titles=TITLES)
    sets = page[page.index('id="adjustment"') : page.index('<h2 id="hospitals">')]
    row = re.search(r"<bdi>Male sex</bdi></th><td>(.*?)</td>", sets)[1]

    assert re.sub(r"<[^>]*>", "", row) == (
        "Age, Systolic blood pressure, Grade of disease, Age × Male sex, and hospital"
    )


def test_strata_are_part_of_the_adjustment():
    assert "<bdi>sex (stratified)</bdi>" in render_cox()


def test_weights_of_other_terms_than_the_plans_are_refused():
    with pytest.raises(IntegrityError, match="plan's terms"):
        render(PLAN, COLUMNS[:-1])


def test_a_factor_of_one_column_with_two_weights_is_refused():
    with pytest.raises(IntegrityError, match="columns of the plan's factors"):
        render(PLAIN, (PLAIN_COLUMNS[0], ("bmi", "bmi'", 0.1, 0.1, 1.0), *PLAIN_COLUMNS[1:]))


def test_a_skipped_analysis_is_named_with_its_reason():
    text = Page(PAGES["skipped"]()).text

    assert "the performance: some cell has 1 to 9 patients." in text


@pytest.mark.parametrize(("items", "last"), [(TRIPOD_AI, 27), (STROBE, 22)], ids=["TRIPOD+AI", "STROBE"])
def test_a_guideline_has_all_its_items_in_their_order(items, last):
    numbers = [int(re.match(r"\d+", item.number)[0]) for item in items]

    assert sorted(set(numbers)) == list(range(1, last + 1))
    assert numbers == sorted(numbers)
    assert len({item.number for item in items}) == len(items)


def test_every_place_that_a_guideline_names_exists_in_a_full_report():
    ids = set(Page(PAGES["everything"]()).ids)

    for item in (*TRIPOD_AI, *STROBE):
        assert set(item.places) <= ids, item.number


def test_an_item_that_this_report_does_not_answer_is_left_to_the_authors():
    plain, full = Page(PAGES["plain"]()).text, Page(PAGES["everything"]()).text

    assert "flow of participants, follow-up Hospitals" in plain
    assert "flow of participants, follow-up Flow of patients , Hospitals" in full
    assert "known inequalities between groups — all of it" in full


def test_a_table_as_released_passes_the_labs_own_check():
    check_tables(build_result(PLAN, tables=all_tables()))


@pytest.mark.parametrize(
    "table",
    [
        Table(name="patients", columns=("n",), rows=((345,),)),
        Table(name="flow", columns=("hospital", "n"), rows=()),
        Table(name="flow", columns=("hospital", "step", "n"), rows=(("aspen", "read", 343),)),
        Table(name="flow", columns=("hospital", "step", "n"), rows=(("aspen", "read", 5),)),
        Table(name="flow", columns=("hospital", "step", "n"), rows=(("aspen", "read", -5),)),
        Table(name="flow", columns=("hospital", "step", "n"), rows=(("aspen", "read", 10**400),)),
        Table(name="roc", columns=any_table("roc").columns, rows=((0.5, None, 100, 0.81, 0.72),)),
    ],
    ids=["unknown", "other columns", "off the grid", "too small", "negative", "huge", "beside a suppressed count"],
)
def test_a_table_that_should_not_have_left_is_refused_when_the_result_is_opened(table):
    with pytest.raises(IntegrityError, match="disclosure rules"):
        check_tables(build_result(PLAN, tables=(table,)))


def test_a_table_that_comes_twice_is_refused():
    with pytest.raises(IntegrityError, match="twice"):
        check_tables(build_result(PLAN, tables=(any_table("flow"), any_table("flow"))))
