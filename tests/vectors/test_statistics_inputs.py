import hashlib
from pathlib import Path

INPUTS = Path(__file__).resolve().parent / "statistics" / "inputs"


def test_the_cohort_that_r_was_run_on_has_not_changed():
    digest = hashlib.sha256((INPUTS / "cohort.csv").read_bytes()).hexdigest()

    assert digest == "c2819160e18888aafba2226dc85f8abdcd273e6ae8441435621495e3996d15fe"
