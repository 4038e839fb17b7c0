"""The parts of `summarize.py`."""
