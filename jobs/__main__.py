"""``python -m jobs`` is ``advosync``."""

from jobs.cli import main

if __name__ == "__main__":
    main()
