"""The web server, who may ask it, and what it refuses."""
