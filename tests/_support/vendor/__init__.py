"""The vendor's SDK, in an environment of its own."""
