"""The suite ``speed``: time and memory. Each of its parts is a module."""
