"""Gramine for SGX: the enclave image as a measured manifest, its building and signing, and its launcher."""
