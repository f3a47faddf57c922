"""What the chain must say of a deal before its keys are released, and that its clock and the broker's agree."""

from __future__ import annotations

from heartify.broker.chain_view import ChainView
from heartify.errors import PolicyError
from heartify.protocol.outcomes import DealState

MAX_CLOCK_DIFFERENCE_SECONDS = 600


def check_clocks(chain_time: int, own_time: int, *, chain_may_idle: bool) -> None:
    """Refuse when the newest block and the broker's clock are minutes apart (both in UTC seconds).

    A broker whose clock is behind would take expired collateral and deals for good; a node that is behind would show
    deals open that are long over. `chain_may_idle` is for the embedded chain, which makes a block only when somebody
    sends a transaction. Raises PolicyError.
    """
    if chain_time > own_time + MAX_CLOCK_DIFFERENCE_SECONDS:
        raise PolicyError("the chain's clock is ahead of this broker's", hint="set the broker's clock")
    if own_time > chain_time + MAX_CLOCK_DIFFERENCE_SECONDS and not chain_may_idle:
        raise PolicyError("the newest block is old", hint="the hospital's node is behind, or its clock is ahead")


def check_deal_open(chain: ChainView, deal_id: str, deadline: int, own_time: int, *, chain_may_idle: bool) -> None:
    """Refuse a deal that isn't open at a final block of the hospital's own node, or whose deadline has passed.

    Raises:
        PolicyError: it is neither open nor timely, or the clocks don't agree.
        ChainError: the node can't be reached.
    """
    state = chain.deal_state(deal_id)
    if state is not DealState.OPEN:
        raise PolicyError(f"the deal is {state.name.lower()} on chain, not open")
    chain_time = chain.time_utc_seconds()
    if max(chain_time, own_time) > deadline:
        raise PolicyError("the deal's deadline has passed")
    check_clocks(chain_time, own_time, chain_may_idle=chain_may_idle)
