"""--require-isolation: words about a simulated TEE, refused where none is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartify.cli.options import required_isolation
from heartify.errors import UsageError


def test_words_are_split_at_commas():
    assert required_isolation(None, None) == ()
    assert required_isolation("sandbox, own-user", Path("root.pem")) == ("sandbox", "own-user")


def test_isolation_of_hardware_can_not_be_demanded():
    with pytest.raises(UsageError, match="none is believed"):
        required_isolation("sandbox", None)
