"""What all parties must agree on: documents, orders, digests, signatures, sealing. No I/O."""
