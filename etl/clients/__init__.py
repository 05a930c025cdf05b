"""The two systems as Python methods; the only package that imports httpx. Neither knows the other or the store."""
