"""What a lab's epidemiologist does: browse, plan, quote, run, open, verify."""
