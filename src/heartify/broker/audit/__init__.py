"""The broker's audit log: a chain of digests over everything that it decided and was told to do."""
