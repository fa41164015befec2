"""Networks, the terms ``encode`` and ``decode`` of the objective."""
