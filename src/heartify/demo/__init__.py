"""The main job on one machine: every party as its own process, on an embedded chain, from CSV to opened result."""
