"""The parts of `spec_diff.py`."""
