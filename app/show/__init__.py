"""What pages are made of: markup, charts, pictures and words."""
