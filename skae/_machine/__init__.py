"""Where and how torch computes: devices, threads, and who called."""
