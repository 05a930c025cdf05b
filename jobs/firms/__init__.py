"""Many firms from one place: a folder with a file a firm, one command for all, and nothing of a firm in another.

* folder: the files, and what is wrong with them
* round: every firm has one turn
* scheduler, timetable: every firm's turns at their times
* settings, publish: what is done for all of them together; metrics, one message
* engine: what does the turns; pool, worker processes of this machine; cluster, those of several
* turn: one firm's turn, of which the process then keeps nothing
* result: what goes to a worker and what comes back
* overview: the table, the worst first, and the exit code
"""
