"""Run every R script of this folder again and compare what it says with the committed vectors.

`make referee` calls it; it needs R with the packages that referee/README.md lists. Each referee/<topic>.R is called
with the file to write and the folder of third-party data; tests/vectors/statistics/<topic>.json is what tests read.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VECTORS = ROOT / "tests" / "vectors" / "statistics"
SHARED = ROOT.parent / "shared"
TOLERANCE = 1e-8


def main() -> int:
    scripts = [ROOT / "referee" / f"{name}.R" for name in sys.argv[1:]] or sorted((ROOT / "referee").glob("*.R"))
    with tempfile.TemporaryDirectory() as folder:
        wrong = [line for script in scripts for line in differences(script, Path(folder))]
    print("\n".join(wrong) if wrong else f"{len(scripts)} scripts of R agree with the committed vectors")
    return 1 if wrong else 0


def differences(script: Path, folder: Path) -> Iterator[str]:
    made = folder / f"{script.stem}.json"
    run = subprocess.run(
        ["Rscript", str(script), str(made), str(SHARED)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        yield f"{script.name}: R failed: {run.stderr.strip()[-400:]}"
        return
    committed = VECTORS / made.name
    if not committed.exists():
        yield f"{script.name}: there is no {committed.relative_to(ROOT)}"
        return
    yield from compare(script.stem, json.loads(committed.read_text()), json.loads(made.read_text()))


def compare(where: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in old:
            yield from compare(f"{where}.{key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from compare(f"{where}[{index}]", a, b)
    elif isinstance(old, int | float) and isinstance(new, int | float):
        if not math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{where}: committed {old}, R says {new}"
    elif old != new:
        yield f"{where}: committed {old!r}, R says {new!r}"


if __name__ == "__main__":
    sys.exit(main())
