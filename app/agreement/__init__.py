"""The page that compares reviewers with each other and with the judge, and on which reviews are prepared."""
