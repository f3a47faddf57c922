"""The quote: the cheapest orders that fit each other and the plan, and the reasons for what does not."""

from __future__ import annotations

import msgspec
import pytest

from heartify.errors import InputError, PolicyError
from heartify.lab.quote import Offers, build_quote
from heartify.market.catalogue import CatalogueEntry, OfferedGrant, VersionDocuments
from heartify.market.order_book import LiveOrder
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.manifest import ColumnFile, Manifest, padded_row_count
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, Signed
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose

RELEASE = "0x" + "35" * 32
POOL = "0x" + "3a" * 20
OTHER_POOL = "0x" + "3b" * 20
SIMULATED = int(TeeKind.SIMULATED_SGX)
PLAN = Plan(
    title="Age",
    purpose=Purpose.HEALTH_RESEARCH,
    outcome=OutcomeSpec(column="cvd", equals="1"),
    factors=(FactorSpec(name="age", column="age"),),
)


def dictionary(*, unit: str = "a") -> DataDictionary:
    return DataDictionary(
        title="Small",
        description="",
        columns=(
            Column(name="age", title="Age", datatype="number", role="factor", unit=unit),
            Column(name="cvd", title="CVD", datatype="boolean", role="outcome"),
        ),
    )


def digest(number: int) -> str:
    return f"0x{number:064x}"


def documents(number: int, rows: int, described: DataDictionary) -> VersionDocuments:
    file = ColumnFile(
        column="age",
        part=0,
        first_row=0,
        padded_rows=padded_row_count(rows),
        size=1,
        digest=digest(number),
    )
    manifest = Manifest(
        dataset=digest(number),
        previous=None,
        version_nonce=digest(number),
        dictionary_digest=described.digest(),
        report_digest=digest(0),
        rows_rounded=rows,
        columns=(file,),
    )
    return VersionDocuments(manifest, described)


def grant(number: int, *, price: int = 100, columns=("age", "cvd"), release=RELEASE, **changes) -> OfferedGrant:
    policy = GrantPolicy(hospital=f"hospital-{number}", columns=columns, purposes=(Purpose.HEALTH_RESEARCH,))
    order = {
        "datasetVersion": digest(number),
        "broker": "0x" + "01" * 20,
        "appRelease": release,
        "requester": ZERO_ADDRESS,
        "pool": ZERO_ADDRESS,
        "teeKinds": SIMULATED,
        "price": price,
        "withheldBps": 0,
        "uses": 1,
        "policyDigest": policy.digest(),
        "notBefore": 0,
        "expiry": 10,
        "nonce": number,
    }
    return OfferedGrant(LiveOrder(Signed(DatasetGrant(**{**order, **changes}), "0x"), "0x" + "02" * 20, 1), policy)


def entry(number: int, *grants: OfferedGrant, dataset: int | None = None, rows=1000, described=None) -> CatalogueEntry:
    return CatalogueEntry(
        version=digest(number),
        dataset=digest(1000 + (number if dataset is None else dataset)),
        owner="0x" + "02" * 20,
        url="memory://x",
        documents=documents(number, rows, described or dictionary()),
        grants=grants or (grant(number),),
        problem=None,
    )


def app(price: int = 20, release: str = RELEASE) -> LiveOrder[AppOffer]:
    order = AppOffer(
        appRelease=release, price=price, withheldBps=0, uses=1, requester=ZERO_ADDRESS, expiry=10, nonce=price
    )
    return LiveOrder(Signed(order, "0x"), "0x" + "03" * 20, 1)


def pool(price: int = 40, account: str = POOL, kind: int = SIMULATED, size: int = 1) -> LiveOrder[PoolOffer]:
    order = PoolOffer(
        pool=account,
        teeKind=kind,
        sizeClass=size,
        price=price,
        uses=1,
        requester=ZERO_ADDRESS,
        expiry=10,
        nonce=price,
    )
    return LiveOrder(Signed(order, "0x"), account, 1)


def offers(*entries: CatalogueEntry, apps=None, pools=None) -> Offers:
    return Offers(
        entries=entries,
        apps=(app(),) if apps is None else tuple(apps),
        pools=(pool(),) if pools is None else tuple(pools),
    )


def test_quote_adds_up_every_item():
    quote = build_quote(PLAN, offers(entry(1, grant(1, price=200)), entry(2, grant(2, price=225))), RELEASE)

    assert [item.price for item in quote.grants] == [200, 225]
    assert (quote.app.order.price, quote.pool.order.price) == (20, 40)
    assert quote.total == 200 + 225 + 20 + 40
    assert quote.rows == 2000
    assert quote.unsuitable == ()


def test_cheapest_grant_that_permits_the_plan_is_taken():
    narrow = grant(1, price=10, columns=("cvd",))
    dear, cheap = grant(1, price=300), grant(1, price=150)

    quote = build_quote(PLAN, offers(entry(1, dear, narrow, cheap)), RELEASE)

    assert quote.grants[0].price == 150


def test_cheapest_app_offer_of_the_release_is_taken():
    quote = build_quote(PLAN, offers(entry(1), apps=[app(30), app(20), app(1, release=digest(9))]), RELEASE)

    assert quote.app.order.price == 20


def test_cheap_pool_that_no_grant_accepts_does_not_stand_in_the_way():
    pools = [pool(1, OTHER_POOL, kind=int(TeeKind.TDX)), pool(40)]

    quote = build_quote(PLAN, offers(entry(1), pools=pools), RELEASE)

    assert quote.pool.order.price == 40


def test_pool_that_more_hospitals_accept_wins_over_a_cheaper_one():
    only_here = entry(1, grant(1, pool=POOL))

    quote = build_quote(PLAN, offers(only_here, entry(2), pools=[pool(1, OTHER_POOL), pool(40)]), RELEASE)

    assert quote.pool.order.pool == POOL
    assert len(quote.grants) == 2


def test_grant_for_another_pool_is_not_used():
    with pytest.raises(InputError, match="no live grant for this app release, TEE kind and pool"):
        build_quote(PLAN, offers(entry(1, grant(1, pool=OTHER_POOL))), RELEASE)


def test_pool_whose_size_class_is_too_small_is_passed_over():
    large = entry(1, rows=2_000_000)

    quote = build_quote(PLAN, offers(large, pools=[pool(40, size=1), pool(90, OTHER_POOL, size=2)]), RELEASE)

    assert quote.pool.order.sizeClass == 2
    with pytest.raises(InputError, match="too many for a pool of size class small"):
        build_quote(PLAN, offers(large), RELEASE)


def test_pool_of_an_unknown_size_class_is_not_used():
    with pytest.raises(InputError, match="size class 77"):
        build_quote(PLAN, offers(entry(1), pools=[pool(size=77)]), RELEASE)


def test_newest_suitable_version_of_a_dataset_is_taken():
    old, new, newest = entry(1, dataset=5), entry(2, dataset=5), entry(3, grant(3, columns=("cvd",)), dataset=5)

    quote = build_quote(PLAN, offers(old, new, newest), RELEASE)

    assert [item.entry.version for item in quote.grants] == [digest(2)]
    assert [item.version for item in quote.unsuitable] == [digest(3)]


def test_what_does_not_fit_is_passed_over_with_its_reason():
    broken = CatalogueEntry(digest(3), digest(1003), "0x" + "02" * 20, "memory://x", None, (), "cannot read 'x'")

    quote = build_quote(PLAN, offers(entry(1), entry(2, grant(2, release=digest(9))), broken), RELEASE)

    assert len(quote.grants) == 1
    reasons = {item.version: item.reason for item in quote.unsuitable}
    assert "no live grant" in reasons[digest(2)]
    assert "cannot read 'x'" in reasons[digest(3)]


def test_named_version_that_does_not_fit_is_an_error_of_its_own_kind():
    refused = entry(2, grant(2, columns=("cvd",)))

    with pytest.raises(PolicyError, match="does not cover the columns age"):
        build_quote(PLAN, offers(entry(1), refused), RELEASE, [digest(1), digest(2)])


def test_named_versions_are_used_and_no_others():
    quote = build_quote(PLAN, offers(entry(1), entry(2), entry(3)), RELEASE, [digest(3), digest(1)])

    assert [item.entry.version for item in quote.grants] == [digest(1), digest(3)]


def test_named_version_that_is_not_on_the_market_is_an_error():
    with pytest.raises(InputError, match=f"no live version {digest(9)}"):
        build_quote(PLAN, offers(entry(1)), RELEASE, [digest(1), digest(9)])


def test_two_named_versions_of_one_dataset_are_refused():
    with pytest.raises(InputError, match="of the same dataset"):
        build_quote(PLAN, offers(entry(1, dataset=5), entry(2, dataset=5)), RELEASE, [digest(1), digest(2)])


def test_nothing_that_fits_gives_every_reason():
    plan = msgspec.structs.replace(PLAN, factors=(FactorSpec(name="bmi", column="bmi"),))

    with pytest.raises(InputError, match="no dataset fits") as refused:
        build_quote(plan, offers(entry(1), entry(2)), RELEASE)
    assert "hospital-1" in refused.value.message
    assert "hospital-2" in refused.value.message
    assert "bmi" in refused.value.message


def test_empty_catalogue_says_so():
    with pytest.raises(InputError, match="the catalogue is empty"):
        build_quote(PLAN, offers(), RELEASE)


def test_over_64_hospitals_are_refused_and_64_are_not():
    many = [entry(number) for number in range(1, 66)]

    assert len(build_quote(PLAN, offers(*many[:64]), RELEASE).grants) == 64
    with pytest.raises(InputError, match="at most 64 grants, 65 fit"):
        build_quote(PLAN, offers(*many), RELEASE)


def test_dictionaries_that_differ_are_refused():
    in_months = entry(2, described=dictionary(unit="mo"))

    with pytest.raises(InputError, match=r"column 'age'.*unit"):
        build_quote(PLAN, offers(entry(1), in_months), RELEASE)


def test_market_without_app_or_pool_offers_is_refused():
    with pytest.raises(PolicyError, match="no live app offer"):
        build_quote(PLAN, offers(entry(1), apps=[app(release=digest(9))]), RELEASE)
    with pytest.raises(PolicyError, match="no live pool offer"):
        build_quote(PLAN, offers(entry(1), pools=[]), RELEASE)


def test_study_that_needs_more_cells_than_the_size_class_has_is_refused_before_payment():
    names = [f"x{number}" for number in range(140)]
    described = DataDictionary(
        title="Wide",
        description="",
        columns=(
            *(Column(name=name, title=name, datatype="number", role="factor", unit="a") for name in names),
            Column(name="cvd", title="CVD", datatype="boolean", role="outcome"),
        ),
    )
    plan = msgspec.structs.replace(PLAN, factors=tuple(FactorSpec(name=name, column=name) for name in names))
    wide = entry(1, grant(1, columns=(*names, "cvd")), rows=1_000_000, described=described)

    with pytest.raises(InputError, match="141 columns are too much for a pool of size class small"):
        build_quote(plan, offers(wide), RELEASE)


def test_study_that_needs_more_memory_than_the_size_class_gives_is_refused_before_payment():
    factors = tuple(FactorSpec(name=f"age{number}", column="age") for number in range(140))
    plan = msgspec.structs.replace(PLAN, factors=factors)

    with pytest.raises(InputError, match=r"would need about \d\.\d GiB"):
        build_quote(plan, offers(entry(1, rows=1_000_000)), RELEASE)
