"""The commands, one function each: its docstring is the help text, and it imports what it needs when it runs."""
