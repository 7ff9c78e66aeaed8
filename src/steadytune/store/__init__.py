"""The store: the folder of staged data sets and encoders, and the lock that says what must be in it."""
