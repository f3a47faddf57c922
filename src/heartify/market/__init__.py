"""The order book and catalogue, rebuilt from the chain and the hospitals' stores. It holds no trust: readers verify."""
