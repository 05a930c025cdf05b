"""``advosync --help`` as files: the commands of each heading, what they ask for, and what they print."""
