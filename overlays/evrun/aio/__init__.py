# Derived by scripts/derive_async.py from overlays/evrun/resources, raw.py and run.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""What `AsyncEvrun` offers, derived from the half that blocks."""
