"""Where dataset versions lie, and how their files get there and back."""
