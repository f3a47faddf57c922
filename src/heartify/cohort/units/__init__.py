"""Units as UCUM writes them, and how values in one become values in another; nothing is converted silently."""
