"""What each command does with its options; its docstring is its help. What one needs it imports when it runs."""
