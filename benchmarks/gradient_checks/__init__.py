"""The mutation suite of the gradient check: right gradients, the same spoiled in known ways, and who tells them apart.

`case` says what a case is, `cases/` holds them, `mutations` spoils them, `naming` says which mutations count and what
each may rightly be called, `checkers` asks the tools, `tallies` counts, `command` prints the table. The tests import
the same.
"""
