"""Key-encryption keys (KEK): what wraps the master keys at rest, and where that key lies."""
