"""What a build leaves behind: records, manifest, statistics, plots, data card, export."""
