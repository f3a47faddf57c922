"""One module a revision, from the first tables on; none is ever changed once a release had it."""
