"""Intel's DCAP: SGX and TDX quotes and their collateral, checked by dcap-qvl and by what that library leaves open."""
