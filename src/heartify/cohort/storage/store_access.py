"""What the operator of this machine lets a store's address from the chain lead to.

Anybody can register an address. By default one leads to public hosts only: not to this machine's folders, not to hosts
of the network around it, and to no S3 bucket with this machine's credentials. Each exception is an explicit setting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heartify.cohort.storage.store_url import StoreUrl
from heartify.errors import PolicyError, UsageError

GATEWAY_VARIABLE = "HEARTIFY_IPFS_GATEWAY"
LOCAL_FOLDERS_VARIABLE = "HEARTIFY_STORE_FOLDERS"
PRIVATE_HOSTS_VARIABLE = "HEARTIFY_STORE_PRIVATE_HOSTS"
SIGNED_S3_VARIABLE = "HEARTIFY_STORE_SIGNED_S3"


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """The exceptions. `local_folders` may hold stores; `private_hosts` may have addresses that are not public.

    `ipfs_gateway` serves ipfs:// addresses; `signed_s3` reads s3:// addresses with this machine's credentials.
    """

    local_folders: tuple[Path, ...] = ()
    private_hosts: frozenset[str] = frozenset()
    ipfs_gateway: str | None = None
    signed_s3: bool = False

    def check(self, url: StoreUrl) -> None:
        """Check that an address from the chain may be followed; hosts' addresses are checked at connecting.

        Raises PolicyError.
        """
        if url.kind != "file":
            return  # memory:// names nothing outside of this process, the others are checked by their drivers
        place = Path(url.path).resolve()
        if not url.path.startswith("/") or not any(place.is_relative_to(folder) for folder in self.local_folders):
            raise PolicyError(
                "the chain names a folder of this machine as a store, which is not followed",
                hint=f"if the store is yours, name the folder above it in {LOCAL_FOLDERS_VARIABLE}",
            )


def read_store_access(environment: Mapping[str, str], *, embedded: bool = False) -> StoreAccess:
    """Read the settings from the environment; `embedded` is the deployment's own word that all parties share a machine.

    Raises UsageError for a setting that makes no sense.
    """
    folders = [Path(text) for text in environment.get(LOCAL_FOLDERS_VARIABLE, "").split(os.pathsep) if text]
    if any(not folder.is_absolute() for folder in folders):
        raise UsageError(f"{LOCAL_FOLDERS_VARIABLE} must name absolute folders, with '{os.pathsep}' between them")
    signed = environment.get(SIGNED_S3_VARIABLE, "0")
    if signed not in {"0", "1"}:
        raise UsageError(f"{SIGNED_S3_VARIABLE} must be 0 or 1")
    hosts = environment.get(PRIVATE_HOSTS_VARIABLE, "").replace(",", " ").split()
    return StoreAccess(
        local_folders=tuple(folder.resolve() for folder in [*folders, *([Path("/")] if embedded else [])]),
        private_hosts=frozenset(host.lower() for host in hosts),
        ipfs_gateway=environment.get(GATEWAY_VARIABLE) or None,
        signed_s3=signed == "1",
    )
