"""Moving runs between servers and into files, over the API of any server that speaks it."""
