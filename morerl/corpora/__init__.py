"""Outside formats -> samples; every reader has `splits(raw_dir)` and `read(raw_dir, split, corpus=...)`."""
