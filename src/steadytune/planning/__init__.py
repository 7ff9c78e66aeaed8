"""What a suite still costs, and what of it to run on a budget; free of torch unless a probe is asked for."""
