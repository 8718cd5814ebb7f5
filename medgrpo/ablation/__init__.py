"""What each part of the method is worth: simulated and trained policies, controlled experiments, judges."""
