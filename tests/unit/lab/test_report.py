from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from heartify.disclosure.released import build_released_weight
from heartify.errors import IntegrityError, UsageError
from heartify.lab.report import render_report
from heartify.lab.settlement import PaymentRow, SettlementDocument
from heartify.lab.verification import Check, Verification
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.result import HospitalResult, RuleResult, StudyResult, Weight

TRUTH = Path(__file__).resolve().parents[3] / ".." / "shared" / "vectors" / "statistics" / "truth.json"
DEAL = "0x" + "ab12cd34" * 8
VOID = {"meta", "br"}
NAMESPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml")


class WellFormed(HTMLParser):
    """Fails on any tag that is not closed where it should be; keeps tags, texts and ids."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts, self.ids, self.refs = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), f"an attribute twice on {tag}"
        self.tags.append((tag, attributes, tuple(self.open)))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.refs += (attributes.get("aria-labelledby") or "").split()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def digest(n):
    return f"0x{n:02x}" + "5a" * 31


def weight(factor, unit, **numbers):
    ratios = {"ratio": None, "ratio_ci_low": None, "ratio_ci_high": None, "ratio_per_sd": None}
    return Weight(term=factor, factor=factor, unit=unit, **{**ratios, **numbers})


AGE = weight(
    "age", "a", beta=0.0247, se=0.013, ci_low=-0.0008, ci_high=0.0502, z=1.9, p="0.057", ratio=1.025,
    ratio_ci_low=0.9992, ratio_ci_high=1.0515, sd=9.43, beta_per_sd=0.233, se_per_sd=0.123, ratio_per_sd=1.262,
)  # fmt: skip
CP4 = weight(
    "cp4", "1", beta=1.56, se=0.2, ci_low=1.168, ci_high=1.952, z=7.8, p="<0.001", ratio=4.759,
    ratio_ci_low=3.216, ratio_ci_high=7.043, sd=0.5, beta_per_sd=0.78, se_per_sd=0.1, ratio_per_sd=2.181,
)  # fmt: skip
THALACH = weight(
    "thalach", "/min", beta=-0.01029, se=0.0049, ci_low=-0.01989, ci_high=-0.00069, z=-2.1, p="0.036",
    ratio=0.989763, ratio_ci_low=0.980307, ratio_ci_high=0.99931, sd=25.9, beta_per_sd=-0.267, se_per_sd=0.127,
    ratio_per_sd=0.7657,
)  # fmt: skip
HUGE = weight(
    "huge", "1", beta=30.0, se=0.5, ci_low=29.02, ci_high=30.98, z=60.0, p="<0.001", sd=2.0, beta_per_sd=60.0,
    se_per_sd=1.0,
)  # fmt: skip
TINY = weight(
    "tiny", "1", beta=-20.7, se=0.5, ci_low=-21.68, ci_high=-19.72, z=-41.4, p="<0.001", ratio=1.024e-09,
    ratio_ci_low=3.841e-10, ratio_ci_high=2.727e-09, sd=1.0, beta_per_sd=-20.7, se_per_sd=0.5, ratio_per_sd=1.024e-09,
)  # fmt: skip
WEIGHTS = (AGE, CP4, THALACH)
HOSPITALS = (
    HospitalResult(
        name="cleveland", dataset_version=digest(1), status="contributed", n=305, events=140, intercept=-2.76,
        intercept_se=1.2,
    ),
    HospitalResult(
        name="switzerland", dataset_version=digest(2), status="contributed", reason="outcomes_suppressed", n=115
    ),
    HospitalResult(name="riverside", dataset_version=digest(3), status="left_out", reason="no_keys"),
    HospitalResult(name="hill", dataset_version=digest(4), status="left_out", reason="too_few_patients"),
)  # fmt: skip


def build_plan(weights=WEIGHTS, **fields):
    factors = tuple(
        FactorSpec(name=item.factor, column=f"col_{item.factor}", equals="4" if item.factor == "cp4" else None)
        for item in weights
    )
    defaults = {
        "title": "Which parameters carry weight?",
        "purpose": Purpose.HEALTH_RESEARCH,
        "permit": "HDAB-2026-114",
        "outcome": OutcomeSpec(column="num", above=0.0),
        "factors": factors,
    }
    return Plan(**{**defaults, **fields})


def build_result(plan, weights=WEIGHTS, **fields):
    defaults = {
        "deal": DEAL, "plan_digest": plan.digest(), "simulated": False, "outcome": "num > 0", "n": 420, "events": 140,
        "events_n": 305, "auc": 0.9, "weights": weights, "hospitals": HOSPITALS, "disclosure_profile": "sdc-1",
        "disclosure": tuple(RuleResult(rule=rule, verdict="pass") for rule in (1, 2, 3, 4)),
        "notes": ("outcomes_suppressed",),
    }  # fmt: skip
    return StudyResult(**{**defaults, **fields})


def build_verification(*, simulated=False, passed=True, deal=DEAL):
    checks = (
        Check("deal", passed=True, reason="the deal in the receipt hashes to its id"),
        Check("chain", passed=passed, reason="settled on chain" if passed else "the settlement on chain is another"),
    )
    return Verification(deal, simulated, checks)


def payment(party, role, amount, shown):
    return PaymentRow(party=party, role=role, account="0x" + "7e" * 20, amount=amount, shown=shown)


PAID = (payment("cleveland", "dataset", "2500", "2.5 HTT"), payment("app author", "app", "1000", "1 HTT"))
REFUND = payment("lab", "refund", "9000", "9 HTT")


def build_settlement(outcome="delivered", *, simulated=False, payments=PAID, **fields):
    defaults = {
        "deal": DEAL, "state": outcome.split(":")[0], "outcome": outcome, "simulated": simulated, "locked": "13000",
        "locked_shown": "13 HTT", "payments": payments, "token": "HTT", "match_gas": 412345, "settle_gas": 298765,
        "match_tx": digest(0xEE), "settle_tx": digest(0xEF),
    }  # fmt: skip
    return SettlementDocument(**{**defaults, **fields})


def render(*, weights=WEIGHTS, plan=None, **changes):
    plan = plan or build_plan(weights)
    arguments = {
        "plan": plan, "result": build_result(plan, weights), "outcome": "delivered",
        "verification": build_verification(), "settlement": build_settlement(), "produced_utc": "2026-11-22 09:30 UTC",
        "version": "0.1.0",
    }  # fmt: skip
    return render_report(**{**arguments, **changes})


def render_ending(outcome, *, payments=(REFUND,), **changes):
    return render(result=None, outcome=outcome, settlement=build_settlement(outcome, payments=payments), **changes)


ALL_KINDS = {
    "delivered": render,
    "truth": lambda: render(true_weights={"age": 0.03, "cp4": 1.5, "thalach": -0.01}),
    "extreme": lambda: render(weights=(HUGE, TINY, AGE), true_weights={"huge": 1.0, "tiny": -30.0}),
    "unverified": lambda: render(verification=build_verification(passed=False)),
    "withheld": lambda: render_ending("withheld: disclosure code 4"),
    "failed": lambda: render_ending("failed: keys-unavailable"),
    "conceded": lambda: render_ending("failed"),
    "reclaimed": lambda: render_ending("reclaimed", verification=Verification(DEAL, simulated=False, checks=())),
    "nothing paid": lambda: render_ending("failed: internal", payments=()),
}


@pytest.fixture(params=ALL_KINDS, ids=str)
def page(request):
    return ALL_KINDS[request.param]()


def test_a_page_is_well_formed_with_unique_ids_and_references_that_resolve(page):
    parsed = WellFormed(page)

    assert page.startswith("<!DOCTYPE html>")
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert set(parsed.refs) <= set(parsed.ids)


def test_a_page_needs_no_network_and_runs_nothing(page):
    parsed = WellFormed(page)
    without_namespaces = page
    for namespace in NAMESPACES:
        without_namespaces = without_namespaces.replace(namespace, "")

    assert not re.search(r"https?://|//[a-z0-9-]+\.|url\(|@import|@font-face", without_namespaces, re.IGNORECASE)
    assert {tag for tag, _, _ in parsed.tags} & {"script", "img", "link", "iframe", "object", "form", "base"} == set()
    for _, attributes, _ in parsed.tags:
        assert attributes.get("href", "#").startswith("#")
        assert not {"src", "srcset", "style"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    assert "default-src 'none'" in page


def test_every_table_has_a_caption_and_headers_with_scope(page):
    parsed = WellFormed(page)
    tables = [tag for tag, _, _ in parsed.tags if tag == "table"]
    captions = [tag for tag, _, parents in parsed.tags if tag == "caption" and parents[-1] == "table"]

    assert tables
    assert len(captions) == len(tables)
    assert all(attributes.get("scope") for tag, attributes, _ in parsed.tags if tag == "th")


def test_no_heading_is_without_content(page):
    assert not re.search(r"</h2>\s*</section>", page)
    assert not re.search(r"<tbody>\s*</tbody>", page)
    assert not re.search(r"<dd>\s*</dd>", page)


def test_equal_documents_give_equal_text(page, request):
    assert ALL_KINDS[request.node.callspec.id]() == page


def test_every_number_of_a_weight_is_in_the_page_exactly():
    page = render()

    for item in WEIGHTS:
        for value in (item.ratio, item.ratio_ci_low, item.ratio_ci_high, item.beta, item.se, item.sd,
                      item.ratio_per_sd, item.beta_per_sd):  # fmt: skip
            assert f'<data value="{value!r}">' in page
        assert item.p.replace("<", "&lt;") in page


def test_figures_are_shown_with_the_digits_that_they_have():
    text = WellFormed(render()).text

    assert "4.76 (3.22 to 7.04)" in text.replace("( ", "(").replace(" )", ")")
    assert "0.9898" in text
    assert "\N{MINUS SIGN}0.01029" in text
    assert "1.560" in text  # the grid of SE 0.20 has three decimals


def test_weights_are_sorted_by_their_size_per_standard_deviation():
    page = render()
    table = page[page.index('<table class="weights">') :]

    assert table.index(">cp4<") < table.index(">thalach<") < table.index(">age<")


def test_uci_fixed_effects_come_out_as_the_reference_has_them():
    if not TRUTH.exists():
        pytest.skip("the shared reference vectors are not here")
    fit = json.loads(TRUTH.read_text(encoding="utf-8"))["uci4"]["fixed_effects"]
    names = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")
    released = [build_released_weight(name, fit["coef"][name], fit["se"][name], 1.0) for name in names]
    weights = tuple(Weight(term=item.factor, unit="1", **dataclasses.asdict(item)) for item in released)

    page = render(weights=weights)

    betas = [float(value) for value in re.findall(r'<td class="num"><data value="([^"]+)">', page)]
    for name in names:
        assert any(abs(beta - fit["coef"][name]) <= 0.06 * fit["se"][name] for beta in betas), name


def test_counts_auc_and_hospitals_are_shown():
    text = WellFormed(render()).text

    for expected in ("420", "among 305", "140", "0.90", "2 of 4", "cleveland", "305", "\N{MINUS SIGN}2.76"):
        assert expected in text


def test_a_suppressed_hospital_shows_its_n_and_nothing_else():
    page = render()
    row = re.search(r'<tr>\s*<th scope="row"><bdi>switzerland</bdi>.*?</tr>', page, re.DOTALL)

    assert row is not None
    assert re.findall(r"<td[^>]*>(?:<data[^>]*>)?([^<]*)", row[0])[:4] == ["115", *["suppressed"] * 3]
    assert "its events or its non-events are fewer than 10" in row[0]


@pytest.mark.parametrize(("name", "words"), [("riverside", "released no keys"), ("hill", "fewer than 20 complete")])
def test_a_hospital_that_is_left_out_says_why_and_shows_no_figure(name, words):
    row = re.search(rf'<tr>\s*<th scope="row"><bdi>{name}</bdi>.*?</tr>', render(), re.DOTALL)

    assert row is not None
    assert words in row[0]
    assert "<data" not in row[0]


def test_all_outcomes_suppressed_leaves_no_total_of_events():
    plan = build_plan()
    result = build_result(plan, events=None, events_n=None, n=115, hospitals=HOSPITALS[1:2])

    text = WellFormed(render(plan=plan, result=result)).text

    assert "None" not in text
    assert "fewer than 10 events or non-events" in text


@pytest.mark.parametrize("place", ["verification", "settlement", "result"])
def test_a_run_that_any_document_calls_simulated_says_so_at_the_top(place):
    plan = build_plan()
    documents = {
        "verification": {"verification": build_verification(simulated=True)},
        "settlement": {"settlement": build_settlement(simulated=True)},
        "result": {"result": build_result(plan, simulated=True)},
    }

    page = render(plan=plan, **documents[place])

    assert "SIMULATED: this run proves nothing about confidentiality." in page
    assert page.index("SIMULATED") < page.index("<main>")
    assert "<title>SIMULATED: " in page


def test_a_real_run_has_no_simulated_banner():
    assert "simulated" not in WellFormed(render()).text.lower()


def test_a_withheld_result_of_a_simulated_run_says_so_too():
    page = render_ending("withheld: disclosure code 4", verification=build_verification(simulated=True))

    assert "SIMULATED: this run proves nothing about confidentiality." in page


def test_a_failed_check_is_said_at_the_top_and_in_its_row():
    page = render(verification=build_verification(passed=False))

    assert "Not verified: don't rely on this report." in page[: page.index("<main>")]
    assert '<span class="no">no</span>' in page
    assert '<span class="yes">Verified.' not in page


def test_a_verified_run_says_so():
    page = render()

    assert '<span class="yes">Verified.</span>' in page
    assert "Not verified" not in page


def test_markup_in_any_text_is_escaped():
    evil = "<script>alert('x')</script>\"&"
    weights = (msgspec.structs.replace(AGE, term=evil, factor=evil, unit=evil, p=evil), CP4)
    plan = build_plan(weights, title=evil, permit=evil, outcome=OutcomeSpec(column=evil, equals=evil))
    hospitals = (msgspec.structs.replace(HOSPITALS[0], name=evil),)
    result = build_result(plan, weights, outcome=evil, hospitals=hospitals, disclosure_profile=evil)
    verification = Verification(DEAL, False, (Check(evil, passed=True, reason=evil),))
    settlement = build_settlement(payments=(payment(evil, evil, evil, evil),), match_tx=evil, locked_shown=evil)

    page = render(plan=plan, result=result, verification=verification, settlement=settlement,
                  factor_titles={"cp4": evil}, true_weights={"cp4": 1.0}, produced_utc=evil, version=evil)  # fmt: skip

    assert "<script" not in page
    assert {tag for tag, _, _ in WellFormed(page).tags} & {"script"} == set()
    assert WellFormed(page).text.count("alert('x')") > 15


def test_control_and_direction_changing_characters_are_made_visible():
    page = render(plan=build_plan(title="a\u202eb\x00c\x1bd"), version="\ud800")

    assert "a\ufffdb\ufffdc\ufffdd" in page
    assert "Heartify \ufffd" in page
    assert not {"\u202e", "\x00", "\x1b", "\ud800"} & set(page)


def test_titles_of_the_dictionary_stand_beside_the_factors_names():
    text = WellFormed(render(factor_titles={"cp4": "Asymptomatic chest pain"})).text

    assert "Asymptomatic chest pain cp4" in text


def test_units_are_in_words_and_in_ucum():
    page = render()

    assert '<td class="unit" title="UCUM a">1 year</td>' in page
    assert '<td class="unit" title="UCUM 1">yes v. no</td>' in page


def test_true_weights_stand_beside_the_estimates_and_are_counted():
    text = WellFormed(render(true_weights={"age": 0.0312, "cp4": 0.5})).text

    assert "true β" in text
    assert "0.0312" in text
    assert "Generated data." in text
    assert "1 of 2 true weights lie inside" in text


def test_without_true_weights_no_truth_is_mentioned():
    text = WellFormed(render()).text

    assert "true β" not in text
    assert "Generated data" not in text


def test_limits_print_the_adjustment_set_and_never_speak_of_causes():
    text = WellFormed(render(factor_titles={"age": "Age at baseline"})).text

    assert "nothing else: Age at baseline , cp4 and thalach ; and hospital" in text
    for words in ("associated with", "Table 2 fallacy", "Reverse causation", "±0.01", "Complete cases"):
        assert words in text
    assert not re.search(r"\b(causes?|caused|risk factor|effect of|leads? to)\b", text, re.IGNORECASE)


def test_a_p_value_that_rounding_could_move_across_0_05_is_marked():
    page = render()

    assert re.search(r'0\.057<a href="#near"', page)
    assert not re.search(r'0\.036<a href="#near"', page)
    assert "For <bdi>age</bdi> the interval includes 1" in " ".join(page.split())


def test_rules_and_notes_are_in_words():
    plan = build_plan()
    rules = (RuleResult(rule=4, verdict="pass"), RuleResult(rule=9, verdict="fail"))
    result = build_result(plan, disclosure=rules, notes=("few_events_per_parameter",))

    text = WellFormed(render(plan=plan, result=result)).text

    assert "each level of a factor" in text
    assert "counts under 10 suppressed" in text
    assert "not every rule is known to have passed" in text
    assert "fewer than 10 events, or fewer than 10 non-events, for each parameter" in text


def test_payments_gas_and_identifiers_are_shown_in_full():
    page = render()

    for expected in ("2.5 HTT", "hospital, for the use of its dataset", "412345 gas", "298765 gas"):
        assert expected in page
    for full in (DEAL, build_plan().digest(), digest(1), digest(0xEE), digest(0xEF)):
        assert f"<code>{full}</code>" in page
    assert f'<code title="{DEAL}">0xab12cd34…12cd34</code>' in page


@pytest.mark.parametrize(
    ("outcome", "words", "money"),
    [
        ("withheld: disclosure code 4", "A small cell", "the share that their orders state"),
        ("withheld: disclosure code 60", "The disclosure rules refused the output.", "the rest goes back"),
        ("failed: fit-not-converged", "did not converge", "so the pool is paid"),
        ("failed: input-damaged", "reached the enclave damaged", "The lab pays nothing"),
        ("failed: code 63", "a code that has no words here", "so the pool is paid"),
        ("failed: code 99", "a code that has no words here", "The lab pays nothing"),
        ("failed", "gave the deal back", "The lab pays nothing"),
        ("reclaimed", "deadline passed", "with the pool's stake on top"),
    ],
)
def test_an_ending_without_result_says_why_and_where_the_money_went(outcome, words, money):
    page = render_ending(outcome)

    text = WellFormed(page).text
    assert words in text
    assert money in text
    assert "13 HTT had been locked" in text
    assert "Refunded to the lab: 9 HTT." in text
    for absent in ("answer", "weights", "hospitals", "limits", "disclosure"):
        assert f'<h2 id="{absent}">' not in page
    assert "AUC" not in text


def test_a_short_outcome_takes_its_code_from_the_settlement():
    settlement = build_settlement("withheld: disclosure code 2", payments=(REFUND,))

    page = render(result=None, outcome="withheld", settlement=settlement)

    assert "Too few outcomes" in page


def test_no_refund_is_said():
    assert "Nothing was refunded to the lab." in render()


@pytest.mark.parametrize("outcome", ["open", "", "deliver", "delivered\n", "DELIVERED"])
def test_a_deal_that_has_not_ended_is_refused(outcome):
    with pytest.raises(UsageError, match="can't be reported"):
        render(outcome=outcome)


def test_an_outcome_other_than_the_settlements_is_refused():
    with pytest.raises(IntegrityError, match="settlement says"):
        render(result=None, outcome="failed: internal")


def test_another_code_than_the_settlements_is_refused():
    settlement = build_settlement("withheld: disclosure code 2")

    with pytest.raises(IntegrityError, match="settlement says"):
        render(result=None, outcome="withheld: disclosure code 4", settlement=settlement)


def test_a_delivered_deal_without_its_result_is_refused():
    with pytest.raises(UsageError, match="needs a result"):
        render(result=None)


def test_a_result_of_a_withheld_deal_is_refused():
    settlement = build_settlement("withheld: disclosure code 2")

    with pytest.raises(UsageError, match="needs a result"):
        render(outcome="withheld: disclosure code 2", settlement=settlement)


@pytest.mark.parametrize("place", ["verification", "settlement", "result"])
def test_documents_of_different_deals_are_refused(place):
    plan, other = build_plan(), "0x" + "99" * 32
    documents = {
        "verification": build_verification(deal=other),
        "settlement": build_settlement(deal=other),
        "result": build_result(plan, deal=other),
    }

    with pytest.raises(IntegrityError, match="one deal"):
        render(plan=plan, **{place: documents[place]})


def test_a_result_of_another_plan_is_refused():
    with pytest.raises(IntegrityError, match="not of this plan"):
        render(result=build_result(build_plan(title="another question")))


def test_weights_of_other_factors_than_the_plans_are_refused():
    plan = build_plan((AGE, CP4))

    with pytest.raises(IntegrityError, match="not those of the plan"):
        render(plan=plan, result=build_result(plan, (AGE, THALACH)))


def test_a_true_weight_of_no_factor_is_refused():
    with pytest.raises(UsageError, match="no factor of the plan"):
        render(true_weights={"bmi": 0.1})
