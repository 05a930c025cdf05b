"""The two systems as Python methods; the only package that imports httpx. Neither knows the other or the store."""

from etl.lazy_imports import hide_modules

with hide_modules("click"):  # httpx would load a command line of its own, and rich with it: a tenth of a second
    import httpx as httpx
