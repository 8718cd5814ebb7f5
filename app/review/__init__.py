"""The page on which clinicians say what they think of answers, before they know what the judge thinks."""
