"""The load engine in C, and the module that loads it."""
