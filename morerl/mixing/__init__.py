"""Which sample is trained when, and why: orders fixed ahead, and one that follows what the rollouts tell."""
