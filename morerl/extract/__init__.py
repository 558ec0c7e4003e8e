"""From a text and a picture to entities, regions and relations with their places: what a program calls."""
