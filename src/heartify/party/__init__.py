"""What every party has on its own machine: a home folder, keystores, and HTTP to speak to the others."""
