"""The embedded picture world: drawn scenes with news-like titles, in MORE's own release format."""
