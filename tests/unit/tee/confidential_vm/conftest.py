"""Fakes and builders of evidence for confidential VMs, importable for the tests beside it."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "attestation" / "snp"))
