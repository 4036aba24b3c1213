"""Files of evaluation: suites in our own form and those of other tools, and reports for people and machines."""
