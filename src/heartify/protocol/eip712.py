"""EIP-712 typed data for the few static types that Heartify signs.

A typed struct is a frozen dataclass whose annotations are the Solidity types below; from it follow the type string,
the struct hash, the JSON form and the tuple that the contracts take. eth-account is the independent referee in the
tests; it isn't used here because this module also runs inside the enclave, where every dependency is measured.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NewType, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from heartify.errors import DocumentError
from heartify.protocol.canonical import Address, Digest, to_bytes, to_hex
from heartify.protocol.signing import keccak256

bytes32 = NewType("bytes32", str)
address = NewType("address", str)
uint256 = NewType("uint256", int)

ZERO_ADDRESS = address("0x" + "00" * 20)
MAX_UINT256 = 2**256 - 1
_MAX_UINT256_DIGITS = 78

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
T = TypeVar("T", bound="TypedStruct")


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """The chain and market that a signature is good for."""

    chain_id: int
    contract: str

    def separator(self) -> bytes:
        """Return the domain separator of name "Heartify", version "1"."""
        return keccak256(
            keccak256(_DOMAIN_TYPE)
            + keccak256(b"Heartify")
            + keccak256(b"1")
            + self.chain_id.to_bytes(32, "big")
            + to_bytes(self.contract).rjust(32, b"\0")
        )


class TypedStruct:
    """Base of the typed structs: frozen dataclasses of bytes32, address, uint256 and tuples of such structs."""

    __slots__ = ()

    def struct_hash(self) -> bytes:
        """Return EIP-712 hashStruct."""
        words = [keccak256(encode_type(type(self)).encode())]
        words += [_encode_value(kind, getattr(self, name)) for name, kind in _fields(type(self))]
        return keccak256(b"".join(words))

    def digest(self, domain: Domain) -> bytes:
        """Return the 32 bytes that are signed under `domain`."""
        return keccak256(b"\x19\x01" + domain.separator() + self.struct_hash())

    def to_abi(self) -> tuple[Any, ...]:
        """Return the nested tuple that the contracts take."""
        return tuple(_to_abi(kind, getattr(self, name)) for name, kind in _fields(type(self)))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; a uint256 is a decimal string, since JSON numbers end at 2**53."""
        return {name: _to_json(kind, getattr(self, name)) for name, kind in _fields(type(self))}


def from_json(kind: type[T], document: object) -> T:
    """Parse the JSON form of a typed struct.

    Raises:
        DocumentError: not an object, missing or unknown fields, or a value out of its type.
    """
    fields = dict(_fields(kind))
    if not isinstance(document, dict) or set(document) != set(fields):
        raise DocumentError(f"{kind.__name__} must be an object with exactly the fields {', '.join(fields)}")
    return kind(**{name: _from_json(f"{kind.__name__}.{name}", t, document[name]) for name, t in fields.items()})


def from_abi(kind: type[T], values: Any) -> T:
    """Build a typed struct from a decoded event or call: a mapping or a sequence of values.

    Raises:
        DocumentError: other fields, or another number of them. The values' types are those of the ABI decoder.
    """
    fields = _fields(kind)
    named = hasattr(values, "keys")
    if len(values) != len(fields) or (named and set(values) != {name for name, _ in fields}):
        raise DocumentError(f"{kind.__name__} has the {len(fields)} fields {', '.join(name for name, _ in fields)}")
    items = [values[name] for name, _ in fields] if named else list(values)
    return kind(**{name: _from_abi(t, item) for (name, t), item in zip(fields, items, strict=True)})


def encode_type(kind: type[TypedStruct]) -> str:
    """Return EIP-712 encodeType: the struct, then the structs it refers to in alphabetical order."""
    members = ",".join(f"{_type_name(t)} {name}" for name, t in _fields(kind))
    referred = sorted((t for _, t in _fields(kind) if _is_array(t)), key=_type_name)
    return f"{kind.__name__}({members})" + "".join(encode_type(get_args(t)[0]) for t in referred)


_FIELDS: dict[type[TypedStruct], tuple[tuple[str, Any], ...]] = {}


def _fields(kind: type[TypedStruct]) -> tuple[tuple[str, Any], ...]:
    """Return (name, type) of each field, kept per class because resolving annotations is slow."""
    if kind not in _FIELDS:
        hints = get_type_hints(kind)
        _FIELDS[kind] = tuple((f.name, hints[f.name]) for f in dataclasses.fields(kind))  # type: ignore[arg-type]
    return _FIELDS[kind]


def _is_array(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _type_name(kind: Any) -> str:
    return f"{get_args(kind)[0].__name__}[]" if _is_array(kind) else str(kind.__name__)


def _encode_value(kind: Any, value: Any) -> bytes:
    if _is_array(kind):
        return keccak256(b"".join(item.struct_hash() for item in value))
    if kind is uint256:
        return int(value).to_bytes(32, "big")
    return to_bytes(value).rjust(32, b"\0")


def _to_abi(kind: Any, value: Any) -> Any:
    if _is_array(kind):
        return [item.to_abi() for item in value]
    return to_bytes(value) if kind is bytes32 else value


def _to_json(kind: Any, value: Any) -> Any:
    if _is_array(kind):
        return [item.to_json() for item in value]
    return str(value) if kind is uint256 else value


def _from_json(where: str, kind: Any, value: object) -> Any:
    if _is_array(kind):
        if not isinstance(value, list):
            raise DocumentError(f"{where} must be a list")
        return tuple(from_json(get_args(kind)[0], item) for item in value)
    if kind is uint256:
        return _parse_uint256(where, value)
    try:
        return msgspec.convert(value, Digest if kind is bytes32 else Address)
    except msgspec.ValidationError as exc:
        raise DocumentError(f"{where} must be a lower-case {kind.__name__}: {exc}") from exc


def _parse_uint256(where: str, value: object) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise DocumentError(f"{where} must be a whole number as a decimal string")
    # The length first: int() of a very long text is slow, and refuses it with an error that isn't ours.
    if len(value) > _MAX_UINT256_DIGITS or int(value) > MAX_UINT256:
        raise DocumentError(f"{where} is over 2**256 - 1")
    if str(int(value)) != value:
        raise DocumentError(f"{where} must be a decimal string without leading zeros")
    return int(value)


def _from_abi(kind: Any, value: Any) -> Any:
    if _is_array(kind):
        return tuple(from_abi(get_args(kind)[0], item) for item in value)
    if kind is bytes32:
        return to_hex(bytes(value))
    return value.lower() if kind is address else int(value)
