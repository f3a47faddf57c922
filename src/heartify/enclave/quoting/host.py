"""The quoter of a simulated TEE: the host quotes, as it plays processor and quoting enclave.

The enclave supplies report data and nothing else; measurement and isolation are the launcher's words.
"""

from __future__ import annotations

import msgspec

from heartify.enclave.channel import Channel
from heartify.protocol.canonical import to_hex
from heartify.protocol.evidence import Evidence


class HostQuoter:
    """Asks the launcher over the channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def evidence(self, report_data: bytes) -> Evidence | None:
        """Return what the host answers, as long as it has the form of evidence.

        Raises:
            msgspec.ValidationError: it has not.
        """
        reply = self._channel.call("quote", report_data=to_hex(report_data))
        return None if reply is None else msgspec.convert(reply[0].get("evidence"), Evidence)
