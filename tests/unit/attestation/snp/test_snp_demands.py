"""The [sev_snp] table of a policy: what can be written, and that nothing written means nothing accepted."""

from __future__ import annotations

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.snp.demands import SnpDemands
from heartify.attestation.snp.tcb import SnpProduct, SnpTcb, parse_product, parse_tcb, product_of_processor
from heartify.errors import AttestationError, PolicyError

MILAN = "Milan boot_loader=4 tee=0 snp=24 microcode=219"


def test_policy_that_says_nothing_accepts_no_product():
    demands = SnpDemands()

    assert demands.products() == ()
    assert all(demands.floor_for(product) is None for product in SnpProduct)
    assert PRODUCTION_POLICY.sev_snp.require_alias_check
    assert not PRODUCTION_POLICY.sev_snp.accept_vlek


def test_floor_of_a_stepping_comes_before_the_product_s():
    demands = SnpDemands(minimum_tcb=frozenset({MILAN, MILAN.replace("Milan", "Milan-B2").replace("219", "68")}))

    assert demands.products() == ("Milan", "Milan-B2")
    assert demands.floor_for("Milan-B2") == SnpTcb(boot_loader=4, tee=0, snp=24, microcode=68)
    assert demands.floor_for("Milan-B1") == SnpTcb(boot_loader=4, tee=0, snp=24, microcode=219)
    assert demands.floor_for("Genoa-B1") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Milan",
        "Naples boot_loader=4 tee=0 snp=24 microcode=219",
        "Milan-b1 boot_loader=4 tee=0 snp=24 microcode=219",
        "Milan boot_loader=4 tee=0 snp=24",
        "Milan boot_loader=4 tee=0 snp=24 microcode=256",
        "Milan boot_loader=4 tee=0 snp=24 snp=24 microcode=219",
        "Milan fmc=1 boot_loader=4 tee=0 snp=24 microcode=219",
        "Turin boot_loader=4 tee=0 snp=24 microcode=219",
        "Milan boot_loader=4, tee=0, snp=24, microcode=219",
    ],
)
def test_floor_that_could_be_misread_is_refused(text):
    with pytest.raises(PolicyError, match="minimum_tcb"):
        SnpDemands(minimum_tcb=frozenset({text}))


def test_one_product_has_one_floor():
    with pytest.raises(PolicyError, match="names Milan twice"):
        SnpDemands(minimum_tcb=frozenset({MILAN, MILAN.replace("24", "25")}))


@pytest.mark.parametrize(
    "member",
    [
        {"minimum_abi": "1"},
        {"min_guest_svn": -1},
        {"host_data_hex": "00" * 31},
        {"family_id_hex": "0x" + "00" * 15},
        {"image_id_hex": "AA" * 16},
        {"id_key_digests": frozenset({"00" * 32})},
        {"author_key_digests": frozenset({"zz" * 48})},
    ],
)
def test_malformed_member_is_refused(member):
    with pytest.raises(PolicyError, match="sev_snp"):
        SnpDemands(**member)


def test_tcb_is_compared_component_by_component():
    floor = SnpTcb(boot_loader=4, tee=0, snp=24, microcode=219)
    newer_microcode = SnpTcb(boot_loader=4, tee=0, snp=23, microcode=255)

    assert newer_microcode.components_below(floor) == ("snp",)
    assert floor.components_below(floor) == ()
    assert floor.components_below(SnpTcb(fmc=0, boot_loader=0, tee=0, snp=0, microcode=0)) == ("fmc",)


def test_same_bytes_are_another_tcb_on_turin():
    field = bytes([1, 2, 3, 4, 0, 0, 0, 7])

    assert str(parse_tcb(field, SnpProduct.TURIN)) == "fmc=1 boot_loader=2 tee=3 snp=4 microcode=7"
    with pytest.raises(AttestationError, match="reserved bytes"):
        parse_tcb(field, SnpProduct.MILAN)
    with pytest.raises(AttestationError, match="7 bytes"):
        parse_tcb(field[:7], SnpProduct.TURIN)


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [(0x19, 0x01, "Milan"), (0x19, 0x11, "Genoa"), (0x19, 0xA0, "Genoa"), (0x1A, 0x02, "Turin"), (0x1A, 0x11, "Turin")],
)
def test_processor_names_its_product(family, model, product):
    assert product_of_processor(family, model) is SnpProduct(product) is parse_product(product)


def test_processor_of_no_product_is_refused():
    with pytest.raises(AttestationError, match="no known product"):
        product_of_processor(0x17, 0x31)
