"""SIGSTRUCT: made after Intel's table with a real signature, read by our parser, refused where one thing is wrong."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from heartify.errors import EnclaveError, InputError, IntegrityError, KeystoreError
from heartify.tee.gramine.signing_key import check_signing_key, make_signing_key
from heartify.tee.gramine.sigstruct import parse_sigstruct

from .sigstruct_maker import make_key, make_sigstruct, replace_field

HASH = bytes(range(32))


@pytest.fixture(scope="module")
def key():
    return make_key()


@pytest.fixture(scope="module")
def sigstruct(key):
    return make_sigstruct(key, HASH, isvprodid=0x4846, isvsvn=321, xfrm=0xE7, miscselect=1)


def test_every_field_is_read_where_the_table_has_it(key, sigstruct):
    modulus = key.public_key().public_numbers().n.to_bytes(384, "little")

    parsed = parse_sigstruct(sigstruct)

    assert parsed.mr_enclave == HASH
    assert parsed.mr_signer == hashlib.sha256(modulus).digest()
    assert (parsed.isv_prod_id, parsed.isv_svn) == (0x4846, 321)
    assert (parsed.flags, parsed.xfrm, parsed.misc_select) == (4, 0xE7, 1)
    assert (parsed.flags_mask, parsed.xfrm_mask) == (0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFF9_FF1B)


def test_another_key_changes_the_signer_and_not_the_enclave(sigstruct):
    other = parse_sigstruct(make_sigstruct(make_key(), HASH))

    assert other.mr_enclave == parse_sigstruct(sigstruct).mr_enclave
    assert other.mr_signer != parse_sigstruct(sigstruct).mr_signer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enclavehash", bytes(32)),
        ("isvprodid", 1),
        ("isvsvn", 1),
        ("xfrm", 1),
        ("xfrm_mask", 0),
        ("miscselect", 0),
        ("miscmask", 0),
        ("vendor", 0x8086),
        ("date", 0),
        ("swdefined", 1),
        ("isvfamilyid", bytes([1]) * 16),
        ("signature", bytes(384)),
        ("modulus", b"\xff" * 384),
    ],
)
def test_a_field_that_changed_after_signing_breaks_the_signature(sigstruct, name, value):
    with pytest.raises(IntegrityError, match="signature"):
        parse_sigstruct(replace_field(sigstruct, name, value))


@pytest.mark.parametrize("name", ["q1", "q2"])
def test_wrong_quotients_are_refused_though_the_signature_holds(sigstruct, name):
    with pytest.raises(IntegrityError, match="quotients"):
        parse_sigstruct(replace_field(sigstruct, name, bytes(384)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flags": 0x06}, "debugging"),
        ({"flags_mask": 0xFFFF_FFFF_FFFF_FFFD}, "debugging"),
        ({"flags": 0x14}, "provisioning"),
        ({"flags": 0x24}, "launch key"),
        ({"flags": 0x00}, "64-bit"),
        ({"flags": 0x05}, "INIT"),
        ({"header": bytes(16)}, "headers"),
        ({"header2": bytes(16)}, "headers"),
        ({"exponent": 65537}, "exponent"),
        ({"reserved1": b"\x01".ljust(84, b"\0")}, "reserved"),
        ({"reserved3": b"\x01" * 16}, "reserved"),
        ({"reserved4": b"\x01" * 12}, "reserved"),
    ],
)
def test_what_is_properly_signed_and_still_wrong_is_refused(key, fields, message):
    with pytest.raises(EnclaveError, match=message):
        parse_sigstruct(make_sigstruct(key, HASH, **fields))


@pytest.mark.parametrize("length", [0, 1807, 1809])
def test_another_length_is_refused(sigstruct, length):
    with pytest.raises(EnclaveError, match=f"{length} bytes"):
        parse_sigstruct((sigstruct + b"\0")[:length])


def test_a_short_modulus_is_refused(sigstruct):
    with pytest.raises(EnclaveError, match="2048 bits"):
        parse_sigstruct(replace_field(sigstruct, "modulus", (2**2047 + 1).to_bytes(384, "little")))


def test_a_key_that_was_made_here_is_good_for_sgx(tmp_path):
    path = tmp_path / "key.pem"

    make_signing_key(path)

    check_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_written_over(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("precious")

    with pytest.raises(InputError, match="exists already"):
        make_signing_key(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o611])
def test_a_key_that_others_may_touch_is_refused(tmp_path, key_file, mode):
    path = tmp_path / "key.pem"
    path.write_bytes(key_file.read_bytes())
    path.chmod(mode)

    with pytest.raises(InputError, match=f"mode {mode:04o}"):
        check_signing_key(path)


def _pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (lambda: _pem(rsa.generate_private_key(65537, 3072)), "exponent"),
        (lambda: _pem(rsa.generate_private_key(3, 2048)), "3072 bits"),
        (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "3072 bits"),
        (lambda: _pem(make_key(), BestAvailableEncryption(b"password")), "unencrypted"),
        (lambda: b"no key", "unencrypted"),
    ],
)
def test_a_key_that_sgx_does_not_take_is_refused(tmp_path, pem, message):
    path = tmp_path / "key.pem"
    path.write_bytes(pem())
    path.chmod(0o600)

    with pytest.raises(KeystoreError, match=message):
        check_signing_key(path)


def test_a_key_that_is_absent_is_refused_with_what_makes_one(tmp_path):
    with pytest.raises(InputError, match="can't be read") as refused:
        check_signing_key(tmp_path / "none.pem")

    assert "gramine-sgx-gen-private-key" in refused.value.hint
