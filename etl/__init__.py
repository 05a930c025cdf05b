"""One run, as a map. Only ``jobs.pipeline`` knows the order; *rules §n* is a section of ``etl/rules/README.md``.

* extract: find the persons that may have changed, read both systems, store what they show (rules §1)
* recover: before a person is planned, find out by reading what an unfinished run did to it (rules §5)
* diff: join baseline, items and rows into entries; one table decides about each of them; pure (rules §2 to §4)
* guard: save the plan; hold the persons for whom too much would be removed or overwritten (rules §6)
* apply: read again what is to be overwritten, then write, EspoCRM first, then Advoware (rules §5)
* journal: commit each write as *started* before it is sent, then as *done*, *failed* or *unknown* (rules §5)
* verify: read back what was written, and only then move baseline, fingerprint and status (rules §5)

``rules`` decides, ``clients`` talks to the two systems, ``store`` has all the SQL. A test says which folder may import
which.
"""
