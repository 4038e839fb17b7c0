"""The parts of `derive_async.py`."""
