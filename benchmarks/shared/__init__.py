"""What suites share: how they run and report, data sets, and what they compute."""
