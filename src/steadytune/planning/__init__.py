"""What a suite still costs, and which cells to run on a budget. Imports torch only to run a probe."""
