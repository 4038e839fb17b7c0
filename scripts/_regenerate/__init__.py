"""The steps of `regenerate.py`: `generators`, `proof` and `replacing` act, the rest is pure."""
