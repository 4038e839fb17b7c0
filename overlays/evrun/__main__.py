"""`python -m evrun` is the command `evrun`."""

from __future__ import annotations

from evrun_command import main

if __name__ == "__main__":
    main()
