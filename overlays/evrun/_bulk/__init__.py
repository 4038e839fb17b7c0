"""Many logs in one call: which travel together, what is sent next, and the drivers that send."""
