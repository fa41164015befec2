"""Pictures: codes of two numbers, by a published protocol and beside other methods."""
