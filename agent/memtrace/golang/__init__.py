"""Go programs from outside: bytes in, facts out. Attaches nothing and knows no process.

`inspect` says of an open file what it is; everything else is reached from its answer.
"""
