"""AMD SEV-SNP: attestation reports, AMD's certificate chain, firmware levels, and what a policy may demand of them."""
