"""A simulated AMD: root, issuers, signing keys and reports of AMD's formats, for tests only.

Every name says that it is simulated. There is no simulated TEE of this format in the product: `verify` refuses evidence
of kind sev-snp under a simulated root, so tests call `verify_snp`, which leaves that to it. `Chain` and `report` take
one change each, so that a negative test differs by one thing.
"""

from __future__ import annotations

import datetime as dt
import functools
import struct
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.roots import TrustRoot
from heartify.attestation.snp.chain import spki_sha256
from heartify.attestation.snp.collateral import encode_snp_collateral
from heartify.attestation.snp.demands import SnpDemands
from heartify.attestation.snp.verify import verify_snp
from heartify.protocol.evidence import Evidence, TeeKind

NOW = 1_795_000_000
CHIP_ID = bytes(range(1, 65))
MEASUREMENT = bytes(range(48))
REPORT_DATA = bytes(range(64, 128))
ARC = "1.3.6.1.4.1.3704.1"
COMPONENT_OIDS = {"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 8, "fmc": 9}
TCB = {"boot_loader": 4, "tee": 1, "snp": 24, "microcode": 219}
TURIN_TCB = {"fmc": 1, **TCB}
TURIN_CHIP_ID = bytes(range(1, 9)) + bytes(56)
FLOOR = "Milan boot_loader=4 tee=1 snp=24 microcode=219"
TURIN_FLOOR = "Turin fmc=1 boot_loader=4 tee=1 snp=24 microcode=219"
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
PROCESSORS = {"Milan": (0x19, 0x01, 1), "Genoa": (0x19, 0x11, 1), "Turin": (0x1A, 0x02, 1)}


@functools.cache
def rsa_key(name: str, bits: int = 4096) -> rsa.RSAPrivateKey:
    """One key a name, since making them is slow."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def p384_key(name: str, curve=ec.SECP384R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def x509_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Simulated, not AMD"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def der_integer(number: int) -> bytes:
    return bytes([2, 2, 0, number]) if number > 127 else bytes([2, 1, number])


def at(offset_days: float = 0) -> dt.datetime:
    return dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(days=offset_days)


@dataclass(frozen=True)
class Chain:
    """A chain whose every part can be replaced. `extensions` are AMD's, by OID below the arc; None drops one."""

    product: str = "Milan"
    product_name: str = "Milan-B1"
    tcb: dict = field(default_factory=lambda: dict(TCB))
    chip_id: bytes = CHIP_ID
    leaf_name: str = "SEV-VCEK"
    issuer_name: str = ""
    root_name: str = ""
    extensions: dict = field(default_factory=dict)
    leaf_days: tuple = (-10, 700)
    issuer_days: tuple = (-1000, 9000)
    root_days: tuple = (-1000, 9000)
    crl_days: tuple = (-5, 25)
    crl_number: int | None = 7
    crl_extension: x509.ExtensionType | None = None
    revoked: tuple = ()
    leaf_serial: int = 4711
    issuer_is_ca: bool = True
    issuer_may_sign: bool = True
    issuer_constraints: bool = True
    critical_in_leaf: bool = False
    root_key: str = "root"
    issuer_key: str = "issuer"
    issuer_bits: int = 4096
    leaf_curve: type = ec.SECP384R1
    leaf_signer: str | None = None
    issuer_signer: str | None = None
    crl_signer: str | None = None
    crl_issuer: str | None = None
    leaf_issuer_name: str | None = None

    @property
    def names(self) -> tuple[str, str]:
        vlek = "VLEK-" if self.leaf_name == "SEV-VLEK" else ""
        return self.root_name or f"ARK-{self.product}", self.issuer_name or f"SEV-{vlek}{self.product}"

    def root(self) -> x509.Certificate:
        name, _ = self.names
        key = rsa_key(self.root_key)
        return self._authority(name, name, key.public_key(), key, 1, self.root_days)

    def issuer(self) -> x509.Certificate:
        root, name = self.names
        key = rsa_key(self.issuer_key, self.issuer_bits)
        signer = rsa_key(self.issuer_signer or self.root_key)
        return self._authority(name, root, key.public_key(), signer, 2, self.issuer_days)

    def leaf(self) -> x509.Certificate:
        _, issuer = self.names
        builder = self._certificate(
            self.leaf_name,
            self.leaf_issuer_name or issuer,
            p384_key("leaf", self.leaf_curve).public_key(),
            self.leaf_serial or 4711,
            self.leaf_days,
        )
        for oid, value in self._leaf_extensions().items():
            if value is not None:
                builder = builder.add_extension(
                    x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{ARC}.{oid}"), value), self.critical_in_leaf
                )
        return builder.sign(
            rsa_key(self.leaf_signer or self.issuer_key, self.issuer_bits), hashes.SHA384(), rsa_padding=PSS
        )

    def crl(self) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder().issuer_name(x509_name(self.crl_issuer or self.names[0]))
        builder = builder.last_update(at(self.crl_days[0])).next_update(at(self.crl_days[1]))
        if self.crl_number is not None:
            builder = builder.add_extension(x509.CRLNumber(self.crl_number), critical=False)
        if self.crl_extension is not None:
            builder = builder.add_extension(self.crl_extension, critical=True)
        for serial in self.revoked:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at(-6)).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(rsa_key(self.crl_signer or self.root_key), hashes.SHA384(), rsa_padding=PSS)

    def collateral(self) -> str:
        der = [item.public_bytes(Encoding.DER) for item in (self.leaf(), self.issuer(), self.root())]
        return encode_snp_collateral(*der, self.crl().public_bytes(Encoding.DER))

    def root_pin(self) -> bytes:
        return spki_sha256(self.root())

    def _leaf_extensions(self) -> dict:
        spl = {f"3.{COMPONENT_OIDS[name]}": der_integer(version) for name, version in self.tcb.items()}
        unused = {f"3.{number}": der_integer(0) for number in (4, 5, 6, 7)}
        name = self.product_name.encode()
        size = 8 if self.product == "Turin" else 64
        owner = {"5": b"\x16\x05cloud"} if self.leaf_name == "SEV-VLEK" else {"4": self.chip_id[:size]}
        return {"1": der_integer(1), "2": bytes([0x16, len(name)]) + name, **spl, **unused, **owner, **self.extensions}

    @staticmethod
    def _certificate(name, issuer, public_key, serial, days) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(x509_name(name)).issuer_name(x509_name(issuer))
        builder = builder.public_key(public_key).serial_number(serial)
        return builder.not_valid_before(at(days[0])).not_valid_after(at(days[1]))

    def _authority(self, name, issuer, public_key, signer, serial, days) -> x509.Certificate:
        builder = self._certificate(name, issuer, public_key, serial, days)
        if self.issuer_constraints:
            builder = builder.add_extension(x509.BasicConstraints(self.issuer_is_ca, None), critical=True)
        usage = x509.KeyUsage(
            digital_signature=not self.issuer_may_sign,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=self.issuer_may_sign,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return builder.add_extension(usage, critical=True).sign(signer, hashes.SHA384(), rsa_padding=PSS)


def encode_tcb(tcb: dict) -> bytes:
    if "fmc" in tcb:
        return bytes([tcb["fmc"], tcb["boot_loader"], tcb["tee"], tcb["snp"], 0, 0, 0, tcb["microcode"]])
    return bytes([tcb["boot_loader"], tcb["tee"], 0, 0, 0, 0, tcb["snp"], tcb["microcode"]])


def report(patch: dict | None = None, *, key: str = "leaf", curve=ec.SECP384R1, **changes) -> bytes:
    """A signed report. `changes` name fields, `patch` maps an offset to bytes written before signing."""
    fields = {
        "version": 3,
        "guest_svn": 0,
        "policy": 1 << 17 | 1 << 16,
        "vmpl": 0,
        "algorithm": 1,
        "platform_info": 1 << 5,
        "key_info": 0,
        "processor": PROCESSORS["Milan"],
        "report_data": REPORT_DATA,
        "measurement": MEASUREMENT,
        "chip_id": CHIP_ID,
        "tcb": TCB,
        "current": None,
        "reported": None,
        "committed": None,
        "launch": None,
        "current_abi": (1, 55),
        "committed_abi": (1, 55),
        **changes,
    }
    body = bytearray(1184)
    struct.pack_into("<IIQ", body, 0, fields["version"], fields["guest_svn"], fields["policy"])
    struct.pack_into("<II", body, 0x30, fields["vmpl"], fields["algorithm"])
    struct.pack_into("<QI", body, 0x40, fields["platform_info"], fields["key_info"])
    for offset, name in ((0x38, "current"), (0x180, "reported"), (0x1E0, "committed"), (0x1F0, "launch")):
        body[offset : offset + 8] = encode_tcb({**fields["tcb"], **(fields[name] or {})})
    if fields["version"] >= 3:
        body[0x188:0x18B] = bytes(fields["processor"])
    for offset, (major, minor) in ((0x1E8, fields["current_abi"]), (0x1EC, fields["committed_abi"])):
        body[offset : offset + 3] = bytes([5, minor, major])
    body[0x50:0x90], body[0x90:0xC0] = fields["report_data"], fields["measurement"]
    body[0x160:0x180] = b"\xff" * 32
    body[0x1A0:0x1E0] = fields["chip_id"]
    for offset, value in (patch or {}).items():
        body[offset : offset + len(value)] = value
    r, s = decode_dss_signature(p384_key(key, curve).sign(bytes(body[:0x2A0]), ec.ECDSA(hashes.SHA384())))
    body[0x2A0:0x2E8], body[0x2E8:0x330] = r.to_bytes(72, "little"), s.to_bytes(72, "little")
    return bytes(body)


def policy_for(chain: Chain, **demands) -> VerifierPolicy:
    named = {"minimum_tcb": frozenset({FLOOR, TURIN_FLOOR, FLOOR.replace("Milan", "Genoa")}), **demands}
    root = TrustRoot("Simulated ARK, not AMD", None, simulated=True, spki_sha256=chain.root_pin())
    return VerifierPolicy(
        name="test",
        roots=(root,),
        # A policy with a simulated root must accept some simulated kind, though this format has none.
        accepted_tee_kinds=TeeKind.SEV_SNP | TeeKind.SIMULATED_SGX,
        allow_simulated=True,
        sev_snp=SnpDemands(**named),
    )


def evidence(report_bytes: bytes, chain: Chain) -> Evidence:
    return Evidence("sev-snp", report_bytes.hex(), chain.collateral())


def verify_simulated(
    report_bytes=None, chain=None, *, policy=None, now=NOW, report_data=REPORT_DATA, measurement=MEASUREMENT, **demands
):
    """Verify a good case with whatever is replaced."""
    chain = chain or Chain()
    return verify_snp(
        evidence(report() if report_bytes is None else report_bytes, chain),
        policy or policy_for(Chain(product=chain.product), **demands),
        now,
        expected_report_data=report_data,
        reference_measurements=frozenset({measurement}),
    )


def vlek_chain(**changes) -> Chain:
    return replace(Chain(leaf_name="SEV-VLEK", product_name="Milan"), **changes)


def turin_chain(**changes) -> Chain:
    return replace(
        Chain(product="Turin", product_name="Turin-C1", tcb=dict(TURIN_TCB), chip_id=TURIN_CHIP_ID), **changes
    )


def turin_report(patch=None, **changes) -> bytes:
    named = {"version": 5, "processor": PROCESSORS["Turin"], "tcb": TURIN_TCB, "chip_id": TURIN_CHIP_ID, **changes}
    return report(patch, **named)
