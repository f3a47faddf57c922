"""What `heartify hospital describe` does: open a source, read it once, and return the draft's text.

The source is opened read-only and nothing of it is kept. The sample is drawn with fresh randomness, since nobody should
be able to tell which patients' values a guess was made from.
"""

from __future__ import annotations

import numpy as np

from heartify.cohort.describing.draft import draft_dictionary
from heartify.cohort.sources.open_rows import open_raw
from heartify.cohort.sources.source_options import SourceOptions

_DEFAULT = SourceOptions()


def describe_source(source: str, options: SourceOptions = _DEFAULT) -> str:
    """Return the draft of a data dictionary in TOML, marked as not reviewed.

    Raises InputError when the source can't be read or nothing in it can be drafted, UsageError for a wrong option.
    """
    return draft_dictionary(open_raw(source, options), random=np.random.default_rng()).to_toml()
