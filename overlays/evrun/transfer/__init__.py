"""Move runs between servers and files, through the API."""
