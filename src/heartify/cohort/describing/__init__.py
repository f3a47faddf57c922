"""The first draft of a data dictionary, guessed from a source that nobody has described yet."""
