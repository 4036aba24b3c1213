"""The shipped support tickets: a data set, no code. README.md says what it is."""
